"""The list of assets: every entry says what a person and a machine need to know, and the packages hold what is claimed."""

from pathlib import Path

import pytest

from pipeline.asset_registry import ASSETS
from pipeline.asset_sources import Address, NpmFile, PipFile
from pipeline.assets import fetch

WEIGHTS = {"yunet", "sface", "face_landmarker", "pose_landmarker", "fer", "faceapi_expression", "faceapi_expression_manifest"}
MEDIA = {"cry_to_laugh", "single_face", "no_face", "face_then_no_face", "walker"} | {
    f"{people}_person_cam0{n}" for people in ("single", "multi") for n in range(1, 5)
}


def test_the_names_that_others_use() -> None:
    assert set(ASSETS) == WEIGHTS | MEDIA


def test_every_entry_is_complete_and_its_file_unique() -> None:
    for asset in ASSETS.values():
        assert len(bytes.fromhex(asset.sha256)) == 32
        assert asset.size_bytes > 0
        assert asset.licence
        assert asset.purpose
        assert isinstance(asset.sources[0], PipFile | NpmFile)
        assert all(source.url.startswith("https://") for source in asset.sources if isinstance(source, Address))
    assert len({asset.file_name for asset in ASSETS.values()}) == len({asset.sha256 for asset in ASSETS.values()}) == len(ASSETS)


@pytest.mark.parametrize("name", ["yunet", "single_face"])
def test_the_packages_hold_what_is_claimed(name: str) -> None:
    path: Path = fetch(name)
    assert path.stat().st_size == ASSETS[name].size_bytes
    assert path.suffix == ASSETS[name].suffix
