"""Which model does what: the options, and the loading of what they ask for.

The default is the embedded set, whose weights pipeline.assets brings. Other backends are imported only when they are chosen.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pipeline.assets import fetch
from pipeline.failures import InputError
from pipeline.perception.protocols import BodyPoseEstimator, ExpressionClassifier, FaceDetector, FaceEmbedder, HeadPoseEstimator, Model, Perception
from schemas.vocabulary import FailureKind

if TYPE_CHECKING:
    from pipeline.perception.insightface import InsightFacePack

M = TypeVar("M", bound=Model)

FaceBackend = Literal["embedded", "insightface"]
ExpressionBackend = Literal["embedded", "deepface"]


@dataclass(frozen=True, slots=True)
class PerceptionOptions:
    """Which models observe a video.

    Attributes:
        faces: finds faces. embedded: YuNet.
        identity: tells people apart. embedded: SFace.
        head_pose: measures the direction of a head. embedded: MediaPipe's face mesh. Without it there are no blendshape coefficients.
        expression: reads a face. embedded: face-api's and fer's networks with the face mesh's coefficients.
        insightface_weights: folder of an insightface pack (ONNX files), for those that are ``insightface``.
        deepface_weights: deepface's home folder (the one that holds ``.deepface/weights``), for ``deepface``.
        threads: threads of one model; the jobs run several workers instead.
    """

    faces: FaceBackend = "embedded"
    identity: FaceBackend = "embedded"
    head_pose: FaceBackend = "embedded"
    expression: ExpressionBackend = "embedded"
    insightface_weights: str | None = None
    deepface_weights: str | None = None
    threads: int = 1


def load_perception(options: PerceptionOptions | None = None) -> Perception:
    """Load the models.

    Raises:
        InputError: weights or a package are missing; the message says which, and what to do.
    """
    options = options or PerceptionOptions()
    pack = _insightface_pack(options) if "insightface" in (options.faces, options.identity, options.head_pose) else None
    with ExitStack() as on_error:

        def loaded(model: M) -> M:
            on_error.callback(model.close)
            return model

        perception = Perception(
            faces=loaded(_faces(options, pack)),
            head_pose=loaded(_head_pose(options, pack)),
            body_pose=loaded(_body_pose()),
            identity=loaded(_identity(options, pack)),
            expression=loaded(_expression(options)),
        )
        on_error.pop_all()
    return perception


def _faces(options: PerceptionOptions, pack: "InsightFacePack | None") -> FaceDetector:
    if options.faces == "insightface" and pack:
        from pipeline.perception.insightface import InsightFaceDetector

        return InsightFaceDetector(pack)
    from pipeline.perception.faces import YuNet

    return YuNet(fetch("yunet"), threads=options.threads)


def _identity(options: PerceptionOptions, pack: "InsightFacePack | None") -> FaceEmbedder:
    if options.identity == "insightface" and pack:
        from pipeline.perception.insightface import InsightFaceEmbedder

        return InsightFaceEmbedder(pack)
    from pipeline.perception.identity import SFace

    return SFace(fetch("sface"), threads=options.threads)


def _head_pose(options: PerceptionOptions, pack: "InsightFacePack | None") -> HeadPoseEstimator:
    if options.head_pose == "insightface" and pack:
        from pipeline.perception.insightface import InsightFacePose

        return InsightFacePose(pack)
    from pipeline.perception.orientation import FaceMesh

    return FaceMesh(fetch("face_landmarker"))


def _body_pose() -> BodyPoseEstimator:
    from pipeline.perception.orientation import BodyPose

    return BodyPose(fetch("pose_landmarker"))


def _expression(options: PerceptionOptions) -> ExpressionClassifier:
    if options.expression == "deepface":
        from pipeline.perception.deepface import DeepFaceExpression

        return DeepFaceExpression(_folder(options.deepface_weights, "deepface_weights"))
    from pipeline.perception.expression import EmbeddedExpression

    return EmbeddedExpression(fetch("faceapi_expression"), fetch("faceapi_expression_manifest"), fetch("fer"), threads=options.threads)


def _insightface_pack(options: PerceptionOptions) -> "InsightFacePack":
    from pipeline.perception.insightface import InsightFacePack

    return InsightFacePack(_folder(options.insightface_weights, "insightface_weights"), threads=options.threads)


def _folder(path: str | None, option: str) -> Path:
    if path is None:
        raise InputError(FailureKind.MISSING_DEPENDENCY, f"the chosen backend takes its weights from a local folder: set {option}")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(FailureKind.MISSING_DEPENDENCY, f"{option}: there is no folder {folder}")
    return folder
