"""The config.json of our own parts."""

import json
from pathlib import Path

import pytest

from model.component_config import class_of, read_config, read_settings, write_config
from model.errors import ModelInputError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_config(tmp_path / "deep" / "vae", "Codec", factor=8, name="ö")
    assert read_settings(tmp_path / "deep" / "vae", "Codec") == {"factor": 8, "name": "ö"}
    assert json.loads((tmp_path / "deep" / "vae" / "config.json").read_text())["_class_name"] == "Codec"


def test_the_class_is_found_in_every_librarys_way_to_say_it() -> None:
    assert class_of({"_class_name": "AutoencoderKLWan"}) == "AutoencoderKLWan"
    assert class_of({"model_type": "umt5"}) == "umt5"
    assert class_of({"model_type": 3}) is None
    assert class_of({}) is None


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelInputError, match=r"has no config\.json; give a folder"):
        read_config(tmp_path / "none")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelInputError, match="is not JSON"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelInputError, match="holds no settings"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelInputError, match="holds a part without a name, not a Codec"):
        read_settings(tmp_path, "Codec")
