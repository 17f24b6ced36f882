"""``python -m model generate`` from folders that diffusers wrote, as public Wan weights come: every layout, with anchors, a first frame and guidance."""

from pathlib import Path

import av
import numpy as np
import pytest
from diffusers import WanPipeline
from PIL import Image

from model.__main__ import main
from tests.model import tiny_wan

SIZE = ["--size.width", "64", "--size.height", "32", "--size.chunk-latents", "3", "--size.seconds", "0.8"]
"""13 frames: two chunks of 9, of which they share 5."""


def text_and_image_to_video(folder: Path) -> Path:
    layout = tiny_wan.stock(in_channels=48, out_channels=48)
    parts = (tiny_wan.tokenizer(), tiny_wan.umt5(), tiny_wan.vae(**tiny_wan.VAE_2_2), tiny_wan.scheduler(), layout)
    WanPipeline(*parts, expand_timesteps=True).save_pretrained(folder)
    return folder


QUICK = ["--threads", "1", "--sampling.steps", "2", "--recording.crf", "0"]
FRAMES = ["--continuation", "frames"]

LAYOUTS = {"text to video": tiny_wan.text_to_video, "image to video": tiny_wan.image_to_video, "text and image to video": text_and_image_to_video}


@pytest.fixture(scope="module", params=LAYOUTS)
def stock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stock")
    LAYOUTS[request.param](folder / "checkpoint")
    (folder / "anchors").mkdir()
    for number, name in enumerate(("global", "viewpoint-left", "expression-happy")):
        drawn = np.random.default_rng(number).integers(0, 255, (4, 8, 3), np.uint8)
        Image.fromarray(drawn).resize((64, 32)).save(folder / "anchors" / f"{name}.png")
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (4, 8, 3), np.uint8)).resize((64, 32)).save(folder / "first.png")
    return folder


def frames(folder: Path, name: str, *more: str) -> np.ndarray:
    out = folder / f"{name}.mp4"
    given = ["--checkpoint", str(folder / "checkpoint"), "--image", str(folder / "first.png"), "--prompt", "a woman laughs", "--out", str(out)]
    assert main(["generate", *given, *SIZE, *QUICK, *more]) == 0
    with av.open(str(out)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_every_layout_runs_from_a_stock_folder_and_sees_its_anchors(stock: Path) -> None:
    anchors = ["--anchors", str(stock / "anchors")]
    without, cached, again = frames(stock, "without"), frames(stock, "cached", *anchors, "--cache-anchors"), frames(stock, "again", *anchors, *FRAMES)
    assert {video.shape for video in (without, cached, again)} == {(13, 32, 64, 3)}
    assert not np.array_equal(without, again)
    assert not np.array_equal(cached, again)
