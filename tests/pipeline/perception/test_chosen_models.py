"""Every selectable backend chosen at once, through the same options that a job has."""

from pathlib import Path

import numpy as np
import pytest
from insightface.data import get_object

from pipeline.perception.models import PerceptionOptions, load_perception
from tests.pipeline.perception.networks import colour_embedder, constant_landmarks, emotion_network, red_detector


def test_all_backends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPFACE_BACKEND_ENGINE", raising=False)
    monkeypatch.setenv("DEEPFACE_HOME", "nowhere")
    pack, home = tmp_path / "pack", tmp_path / "home"
    pack.mkdir()
    (home / ".deepface" / "weights").mkdir(parents=True)
    red_detector(pack / "det_red.onnx")
    colour_embedder(pack / "colours.onnx")
    constant_landmarks(pack / "1k3d68.onnx", (np.asarray(get_object("meanshape_68.pkl")) / 2).astype(np.float32))
    emotion_network(home / ".deepface" / "weights" / "facial_expression_model_weights.onnx", favourite=3)
    options = PerceptionOptions("insightface", "insightface", "insightface", "deepface", insightface_weights=str(pack), deepface_weights=str(home))
    image = np.full((480, 640, 3), 60, np.uint8)
    image[200:208, 320:328] = (255, 0, 0)
    with load_perception(options) as perception:
        (face,) = perception.faces.detect(image)
        pose = perception.head_pose.estimate(image, face)
        assert pose is not None
        assert pose.yaw == pytest.approx(0, abs=0.2)
        assert perception.identity.embed(image, face).shape == (3,)
        assert perception.expression.classify(image, face, pose).probabilities.argmax() == 1
        assert perception.names() == {
            "faces": "insightface (det_red)",
            "head_pose": "insightface (1k3d68)",
            "body_pose": perception.body_pose.name,
            "identity": "insightface (colours)",
            "expression": "deepface (facial_expression_model_weights.onnx)",
        }
