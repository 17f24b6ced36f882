"""Loading the chosen models: the embedded set works together, other backends are not touched unless chosen, errors say what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.assets import AssetError, fetch
from pipeline.failures import InputError
from pipeline.perception import models
from pipeline.perception.faces import YuNet
from pipeline.perception.models import PerceptionOptions, load_perception
from schemas.vocabulary import Expression, FailureKind
from tests.sample_frames import frame


def test_the_embedded_set_reads_a_face() -> None:
    image = frame("cry_to_laugh", 18.0)
    with load_perception() as perception:
        face = perception.faces.detect(image)[0]
        pose = perception.head_pose.estimate(image, face)
        estimate = perception.expression.classify(image, face, pose)
        embedding = perception.identity.embed(image, face)
        names = perception.names()
    assert pose is not None
    assert abs(pose.yaw) < 45
    assert Expression(int(estimate.probabilities.argmax())) is Expression.HAPPY
    assert float(embedding @ embedding) == pytest.approx(1, abs=1e-5)
    assert set(names) == {"faces", "head_pose", "body_pose", "identity", "expression"}
    assert all(names.values())


def test_choosing_loads_nothing_else() -> None:
    """Neither the libraries nor the weights of any model are touched by reading the options."""
    code = (
        "import sys, pipeline.perception.models as m; m.PerceptionOptions(); print(*sorted({'cv2', 'mediapipe', 'insightface', 'deepface'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (PerceptionOptions(faces="insightface"), "insightface_weights"),
        (PerceptionOptions(head_pose="insightface", insightface_weights="/nowhere/pack"), "insightface_weights"),
        (PerceptionOptions(expression="deepface"), "deepface_weights"),
    ],
)
def test_missing_weights_folders_are_named(options: PerceptionOptions, option: str) -> None:
    with pytest.raises(InputError, match=option) as caught:
        load_perception(options)
    assert caught.value.kind is FailureKind.MISSING_DEPENDENCY


def test_what_was_loaded_is_closed_when_the_rest_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_but_sface(name: str) -> Path:
        if name == "sface":
            raise AssetError(FailureKind.MISSING_DEPENDENCY, "no sface")
        return fetch(name)

    closed: list[YuNet] = []
    real_close = YuNet.close

    def close(detector: YuNet) -> None:
        closed.append(detector)
        real_close(detector)

    monkeypatch.setattr(models, "fetch", fetch_but_sface)
    monkeypatch.setattr(YuNet, "close", close)
    with pytest.raises(AssetError, match="no sface"):
        load_perception()
    assert len(closed) == 1
