"""Weights are known by their content: not by where they lie, nor by their names alone."""

import hashlib
from pathlib import Path

import pytest

from jobs import weights
from jobs.weights import calibration_hash, weight_hashes
from pipeline.assets import ASSETS
from pipeline.perception.models import PerceptionOptions

EMBEDDED = PerceptionOptions()


def insightface(folder: Path) -> PerceptionOptions:
    return PerceptionOptions(faces="insightface", insightface_weights=str(folder))


def test_the_embedded_ones_are_the_assets_and_the_calibration() -> None:
    hashes = weight_hashes(EMBEDDED)
    assert hashes["yunet"] == ASSETS["yunet"].sha256
    assert hashes["expression_calibration"] == calibration_hash()
    assert "cry_to_laugh" not in hashes


def test_the_calibration_is_known_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "calibration.json"
    other.write_bytes(weights.CALIBRATION.read_bytes() + b"\n")
    own = calibration_hash()
    monkeypatch.setattr(weights, "CALIBRATION", other)
    assert calibration_hash() == hashlib.sha256(other.read_bytes()).hexdigest() != own


def test_a_pack_is_its_content_and_not_its_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "det.onnx").write_bytes(b"12345")
    own = weight_hashes(insightface(tmp_path / "a"))
    assert own["insightface/det.onnx"] == f"5 {hashlib.sha256(b'12345').hexdigest()}"
    assert weight_hashes(insightface(tmp_path / "b")) == own
    (tmp_path / "b" / "det.onnx").write_bytes(b"12346")
    assert weight_hashes(insightface(tmp_path / "b")) != own
    assert weight_hashes(PerceptionOptions(insightface_weights=str(tmp_path / "b"))) == weight_hashes(EMBEDDED)  # not chosen


def test_of_deepfaces_home_only_the_weights_of_expressions_count(tmp_path: Path) -> None:
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    (folder / "facial_expression_model_weights.h5").write_bytes(b"1")
    (folder / "age_model_weights.h5").write_bytes(b"2")
    hashes = weight_hashes(PerceptionOptions(expression="deepface", deepface_weights=str(tmp_path)))
    assert [name for name in hashes if "/" in name] == ["deepface/facial_expression_model_weights.h5"]
    assert "expression_calibration" not in hashes


def test_a_folder_that_is_not_there_is_left_to_the_models(tmp_path: Path) -> None:
    assert not any("/" in name for name in weight_hashes(insightface(tmp_path / "missing")))
