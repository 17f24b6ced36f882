import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import ModelInputError
from model.generate.anchor_pictures import AnchorPicture, class_of_name, fit, read_anchors
from model.positions import AnchorClass
from schemas.table import write_table
from schemas.tables import ANCHORS, CHARACTER_ANCHORS
from schemas.vocabulary import AnchorKind, Viewpoint


def picture(level: int, width: int = 64, height: int = 48) -> Image.Image:
    return Image.new("RGB", (width, height), (level, level, level))


def jpeg(level: int) -> bytes:
    file = io.BytesIO()
    picture(level).save(file, "JPEG", quality=95)
    return file.getvalue()


def folder_of(path: Path, names: list[str]) -> Path:
    """Pictures whose level is 10 times their place in the list."""
    path.mkdir(exist_ok=True)
    for place, name in enumerate(names):
        picture(10 * place).save(path / name)
    return path


def shown(anchors: list[AnchorPicture]) -> list[tuple[str, int]]:
    return [(str(anchor.anchor), round(float(anchor.rgb.mean()) / 10)) for anchor in anchors]


def test_a_folders_names_say_what_its_pictures_show(tmp_path: Path) -> None:
    names = [
        "viewpoint-front-2.png",
        "global-1.png",
        "expression-happy.jpg",
        "viewpoint-left.jpg",
        "global.jpg",
        "viewpoint-front-10.png",
        "Viewpoint-Front.PNG",
    ]
    folder_of(tmp_path, names)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    expected = [("global", 4), ("global", 1), ("viewpoint front", 6), ("viewpoint front", 0), ("viewpoint front", 5), ("viewpoint left", 3)]
    assert shown(read_anchors(tmp_path)) == [*expected, ("expression happy", 2)]
    assert shown(read_anchors(tmp_path, at_most=1)) == [("global", 4), ("viewpoint front", 6), ("viewpoint left", 3), ("expression happy", 2)]
    assert shown(read_anchors(tmp_path, 1, [AnchorKind.VIEWPOINT])) == [("viewpoint front", 6), ("viewpoint left", 3)]


def test_every_class_has_a_name() -> None:
    for anchor in AnchorClass.all():
        assert class_of_name(str(anchor).replace(" ", "-")) == (anchor, 0)
        assert class_of_name(str(anchor).replace(" ", "-") + "-12") == (anchor, 12)


@pytest.mark.parametrize("name", ["me", "viewpoint", "global-left", "viewpoint-happy", "viewpoint-left-right-1", "expression", "", "-", "global-", "1"])
def test_other_names_are_refused_with_the_words(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, [f"{name or ' '}.png"])
    with pytest.raises(ModelInputError, match=r"\.png: the name .* call it global, viewpoint-front, viewpoint-left, .*expression-contempt"):
        read_anchors(tmp_path)


def test_a_turned_photograph_is_upright_and_transparency_is_no_colour(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show
    picture(100).save(tmp_path / "global.jpg", exif=exif)
    Image.new("RGBA", (8, 8), (10, 20, 30, 40)).save(tmp_path / "global-1.png")
    first, second = read_anchors(tmp_path)
    assert first.rgb.shape == (64, 48, 3)
    assert second.rgb[0, 0].tolist() == [10, 20, 30]


SAMPLE = {
    "schema": "gloria.sample",
    "version": 1,
    **dict.fromkeys(("video_id", "shot_id", "track_id", "character_id", "sample_hash"), "x"),
    **{
        "clip_id": "clip-0",
        "start_ns": 0,
        "end_ns": 10,
        "frame_count": 1,
        "frame_rate": 16.0,
        "width": 64,
        "height": 48,
        "caption": None,
        "audio": False,
        "seed": 0,
    },
}


def write_sample(folder: Path, key: str, anchors: list[tuple[str, str | None, float | None]]) -> None:
    rows = [
        {"file": f"anchor-{n:02d}.jpg", "kind": kind, "subclass": subclass, "pts_ns": 5, "inside_clip": True, "box": None, "score": score}
        for n, (kind, subclass, score) in enumerate(anchors)
    ]
    (folder / f"{key}.json").write_text(json.dumps(SAMPLE | {"clip_id": key, "anchors": rows}))
    for n in range(len(anchors)):
        (folder / f"{key}.anchor-{n:02d}.jpg").write_bytes(jpeg(10 * n))


def test_a_sample_of_a_shard_is_read_best_first(tmp_path: Path) -> None:
    write_sample(tmp_path, "clip-0", [("viewpoint", "left", 0.4), ("global", None, None), ("viewpoint", "left", 0.9)])
    anchors = read_anchors(tmp_path)
    assert shown(anchors) == [("global", 1), ("viewpoint left", 2), ("viewpoint left", 0)]
    assert [anchor.score for anchor in anchors] == [None, 0.9, 0.4]
    write_sample(tmp_path, "clip-1", [("expression", "sad", 0.4)])
    with pytest.raises(ModelInputError, match=r"holds 2 samples.*give the KEY\.json of the sample"):
        read_anchors(tmp_path)
    assert shown(read_anchors(tmp_path / "clip-1.json")) == [("expression sad", 0)]
    (tmp_path / "clip-1.anchor-00.jpg").unlink()
    with pytest.raises(ModelInputError, match=r"clip-1\.anchor-00\.jpg is missing"):
        read_anchors(tmp_path / "clip-1.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ModelInputError, match="not a shard's sample"):
        read_anchors(tmp_path / "other.json")


def row(name: str, character: str, kind: str, subclass: str | None, rank: int, level: int) -> dict[str, Any]:
    common = {"video_id": "v", "pts_ns": 0, "score": 0.5, "face_box": None, "width": 64, "height": 48, "picture": jpeg(level)}
    return {"anchor_id": name, "character_id": character, "kind": kind, "subclass": subclass, "rank": rank} | common


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("wb") as file:
        write_table(CHARACTER_ANCHORS, CHARACTER_ANCHORS.from_rows(rows), file)
    return path


def test_a_file_of_anchors_is_read_best_first_of_one_character(tmp_path: Path) -> None:
    mine = [row("a", "c0", "viewpoint", "left", 1, 10), row("b", "c0", "viewpoint", "left", 0, 20), row("c", "c0", "global", None, 0, 30)]
    path = write_rows(tmp_path / "one.parquet", mine)
    assert shown(read_anchors(path)) == [("global", 3), ("viewpoint left", 2), ("viewpoint left", 1)]
    path = write_rows(tmp_path / "two.parquet", [*mine, row("d", "c1", "global", None, 0, 40)])
    with pytest.raises(ModelInputError, match="anchors of 2 characters; say with --character which one is meant: c0, c1"):
        read_anchors(path)
    assert shown(read_anchors(path, character="c1")) == [("global", 4)]
    with pytest.raises(ModelInputError, match="no anchors of c2; it has those of c0, c1"):
        read_anchors(path, character="c2")


def test_tables_without_pictures_are_refused_with_the_way_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "anchors").mkdir()
    with (tmp_path / "anchors" / "v.parquet").open("wb") as file:
        write_table(ANCHORS, ANCHORS.empty(), file)
    for path in (tmp_path, tmp_path / "anchors", tmp_path / "anchors" / "v.parquet"):
        with pytest.raises(ModelInputError, match=r"no pictures.*python -m jobs anchors --out OUT --to FILE\.parquet"):
            read_anchors(path)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.parquet").write_bytes(b"no")
    (tmp_path / "x.mp4").write_bytes(b"no")
    for path, said in [
        (tmp_path / "nowhere", "no such file or folder"),
        (tmp_path / "empty", "holds no anchors; put pictures there, named global"),
        (tmp_path / "x.parquet", "not a parquet file"),
        (tmp_path / "x.mp4", "neither a folder of pictures nor a parquet file"),
    ]:
        with pytest.raises(ModelInputError, match=said):
            read_anchors(path)
    folder_of(tmp_path / "some", ["global.png"])
    with pytest.raises(ModelInputError, match="no anchors of the kinds wanted, only global"):
        read_anchors(tmp_path / "some", kinds=[AnchorKind.VIEWPOINT])
    with pytest.raises(ModelInputError, match="at most 0"):
        read_anchors(tmp_path / "some", at_most=0)
    (tmp_path / "some" / "global-1.png").write_bytes(b"no picture")
    with pytest.raises(ModelInputError, match=r"global-1\.png cannot be read as a picture"):
        read_anchors(tmp_path / "some")


def anchor(rgb: NDArray[np.uint8]) -> AnchorPicture:
    return AnchorPicture(AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.LEFT), rgb, "left.png", None)


def test_a_picture_is_scaled_to_cover_and_cropped_about_its_middle() -> None:
    """A ramp from left to right keeps its middle, and loses the same at both sides."""
    ramp = np.broadcast_to(np.linspace(0, 240, 200)[None, :, None], (100, 200, 3)).astype(np.uint8)
    (fitted,) = fit([anchor(ramp)], 80, 50)  # scaled by a half to 100x50, 10 pixels lost at either side
    assert fitted.rgb.shape == (50, 80, 3)
    expected = np.linspace(0, 240, 200).reshape(100, 2).mean(1)[10:90]
    assert np.abs(fitted.rgb[25, :, 0] - expected).max() <= 1.5
    assert (fitted.anchor, fitted.name) == (anchor(ramp).anchor, "left.png")


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    assert np.array_equal(fit([anchor(rgb)], 64, 48)[0].rgb, rgb)


def test_too_much_loss_or_enlarging_is_refused() -> None:
    half, small = anchor(np.zeros((480, 480, 3), np.uint8)), anchor(np.zeros((12, 16, 3), np.uint8))
    with pytest.raises(ModelInputError, match=r"left\.png is 480x480: to fill a video of 832x480, 42% of it would be cropped away; crop it"):
        fit([half], 832, 480)
    assert fit([small], 64, 48)[0].rgb.shape == (48, 64, 3)  # four times
    with pytest.raises(ModelInputError, match=r"left\.png is 16x12: to fill a video of 80x60 it would be enlarged 5\.0 times; take a picture that has 20x15"):
        fit([small], 80, 60)
