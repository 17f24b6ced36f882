from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from model.checkpoint import Checkpoint
from model.create import create_tiny
from model.generate.denoise import Guidance
from model.positions import AnchorPositions
from model.sampler import SamplerOptions
from tests.model.tiny_wan import image_to_video, text_to_video
from tests.training.held_out import CLASSES, sample
from training.conditioning import Conditioner
from training.data.sample import TrainingSample
from training.network import TrainedNetwork
from training.pictures import CELL, DrawnSample, draw_samples, sheet, write_sheet

TWO_STEPS = SamplerOptions("euler", 2, 3.0)


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return create_tiny(0)


class Oracle(nn.Module):
    """A network that knows where the noise came from, and remembers what it was told."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean, self.dtype, self.told = clean, torch.float32, []  # type: ignore[var-annotated]

    def forward(self, hidden: Tensor, timestep: Tensor, text: Tensor, picture: Tensor | None, **other: Any) -> tuple[Tensor]:
        self.told.append({"text": text, "picture": picture, **other})
        return ((hidden - self.clean) / (timestep.view(-1, 1, 1, 1, 1) / 1000),)


def drawn_by_oracle(checkpoint: Checkpoint, one: TrainingSample, guidance: Guidance) -> tuple[DrawnSample, Oracle]:
    network = TrainedNetwork.of(checkpoint)
    conditioner = Conditioner(checkpoint, "cpu")
    oracle = Oracle(conditioner([one], sigma=torch.ones(1)).clean)
    network.transformer = oracle  # type: ignore[assignment]
    (drawn,) = draw_samples(network, conditioner, [one], TWO_STEPS, guidance, torch.float32)
    return drawn, oracle


def test_a_network_that_knows_the_clip_draws_it(tiny: Checkpoint) -> None:
    one = sample()
    drawn, oracle = drawn_by_oracle(tiny, one, Guidance(1.0))
    assert one.frames is not None
    assert one.anchor_frames is not None
    assert np.abs(drawn.generated.astype(int) - one.frames.numpy()).max() <= 1
    assert np.array_equal(drawn.clip, one.frames.numpy())
    assert np.array_equal(drawn.anchors, one.anchor_frames.numpy())
    assert (drawn.key, drawn.caption, drawn.anchor_names) == ("clip-1", "a red figure waves", ("global", "viewpoint left", "expression happy"))
    assert len(oracle.told) == TWO_STEPS.steps


def test_it_is_told_all_of_the_sample_and_guided_away_from_no_caption(tiny: Checkpoint) -> None:
    one = sample(waveform=torch.randn(9000, generator=torch.Generator().manual_seed(5)))
    _, oracle = drawn_by_oracle(tiny, one, Guidance(2.0))
    with_all, without = oracle.told[:2]
    assert torch.equal(with_all["text"], tiny.text_encoder.encode(["a red figure waves"]))
    assert torch.equal(without["text"], tiny.text_encoder.encode([""]))
    assert with_all["anchor_positions"].tolist() == [AnchorPositions().of(CLASSES)]
    assert one.anchor_frames is not None
    first = tiny.codec.encode((one.anchor_frames[:1].float() / 127.5 - 1).permute(0, 3, 1, 2)[:, :, None])
    assert torch.equal(with_all["anchors"][:, :, :1], first)
    assert with_all["audio"].shape[:2] == (1, 3)
    assert float(with_all["audio"].std()) > 0


def test_a_silent_sample_without_anchors_and_caption_is_drawn_without(tiny: Checkpoint) -> None:
    drawn, oracle = drawn_by_oracle(tiny, sample(anchors=0, caption=""), Guidance(1.0))
    assert oracle.told[0]["audio"] is None
    assert "anchors" not in oracle.told[0]
    assert (drawn.anchors.shape[0], drawn.anchor_names) == (0, ())


def test_latents_are_shown_as_what_they_decode_to(tiny: Checkpoint) -> None:
    one = sample()
    assert one.frames is not None
    assert one.anchor_frames is not None
    latents = tiny.codec.encode((one.frames.float() / 127.5 - 1).permute(3, 0, 1, 2)[None])[0]
    anchors = torch.stack([tiny.codec.encode((each.float() / 127.5 - 1).permute(2, 0, 1)[None, :, None])[0, :, 0] for each in one.anchor_frames])
    drawn, _ = drawn_by_oracle(tiny, replace(one, frames=None, latents=latents, anchor_frames=None, anchor_latents=anchors), Guidance(1.0))
    assert np.array_equal(drawn.clip, one.frames.numpy())
    assert np.array_equal(drawn.anchors, one.anchor_frames.numpy())


@pytest.mark.parametrize("make", [text_to_video, image_to_video])
def test_networks_of_both_layouts_draw(make: Any, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(make(tmp_path))
    one = sample(height=32, width=32)
    network = TrainedNetwork.of(checkpoint)
    network.train()
    drawn = [draw_samples(network, Conditioner(checkpoint, "cpu"), [one], TWO_STEPS, Guidance(3.0), torch.float32)[0].generated for _ in range(2)]
    assert drawn[0].shape == (9, 32, 32, 3)
    assert np.array_equal(drawn[0], drawn[1])
    assert network.training
    if checkpoint.layout.beside:  # it was given the first frame
        assert one.frames is not None
        codec = checkpoint.codec
        first = codec.decode(codec.encode((one.frames[:1].float() / 127.5 - 1).permute(0, 3, 1, 2)[:, :, None]))[0, :, 0].permute(1, 2, 0)
        assert np.abs(drawn[0][0].astype(int) - ((first.detach().numpy() + 1) * 127.5).round()).max() <= 1


def shown(anchors: int = 3, height: int = 32, width: int = 48, caption: str = "a red figure waves") -> DrawnSample:
    frames = np.stack([np.full((height, width, 3), 20 * number, np.uint8) for number in range(9)])
    names = tuple(str(CLASSES[number % 3]) for number in range(anchors))
    return DrawnSample("clip-1", caption, names, np.full((anchors, height, width, 3), 255, np.uint8) if anchors else frames[:0], frames, frames[::-1])


def test_a_sheet_is_written_whole_and_given_back(tmp_path: Path) -> None:
    rgb = write_sheet([shown(), shown(anchors=0, caption="")], tmp_path, 500)
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["step-000500.png"]
    with Image.open(tmp_path / "samples" / "step-000500.png") as picture:
        assert np.array_equal(np.asarray(picture.convert("RGB")), rgb)


def test_frames_stand_on_the_sheet_with_their_own_colours(tmp_path: Path) -> None:
    rgb = write_sheet([shown()], tmp_path, 1)
    found = [
        np.flatnonzero((rgb == value).all(axis=2).sum(axis=1) > CELL // 2) for value in (40, 80, 120)
    ]  # frames 2, 4 and 6 of the clip, and of what was made
    assert all(len(rows) > 1.5 * CELL * 32 / 48 for rows in found)


@pytest.mark.parametrize("sizes", [[(480, 832)], [(832, 480), (32, 48)], [(16, 16)]])
def test_sheets_are_as_large_as_what_is_on_them(sizes: list[tuple[int, int]]) -> None:
    figure = sheet([shown(12, *size, caption="a $ sign and many words " * 40) for size in sizes], "title")
    width, height = figure.canvas.get_width_height()
    assert 9 * CELL < width < 10 * CELL
    assert height > sum(2 * CELL * size[0] / size[1] for size in sizes)
