"""Held-out samples drawn from noise with their own anchors and captions, to be looked at: OUT/samples/step-000500.png."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from model.attention_plot import FAINT, INK, LINE, STYLE
from model.conditions.protocols import Codec
from model.generate.denoise import Anchors, Conditions, Denoiser, Guidance
from model.sampler import SamplerOptions
from training.conditioning import Conditioner, TrainingBatch
from training.data.sample import TrainingSample
from training.network import TrainedNetwork
from training.parallel import precise

FOLDER = "samples"
FRAMES = 5
"""Of a clip, shown evenly spread."""
MOST_ANCHORS = 8
"""Of a sample, shown."""
CELL, GAP, LABEL, BLOCK = 168, 8, 18, 26
"""Pixels: width of a picture, between pictures, height of a line of text, between samples."""
LETTER = 7.6
"""Pixels that a letter of the caption takes, about."""
DPI = 100

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnSample:
    """A sample and what the network makes of its conditions.

    Attributes:
        key, caption: of the sample.
        anchor_names: what each of the K anchors shows.
        anchors: (K, H, W, 3).
        clip: (F, H, W, 3), the true one.
        generated: likewise.
    """

    key: str
    caption: str
    anchor_names: tuple[str, ...]
    anchors: Pixels
    clip: Pixels
    generated: Pixels


@torch.no_grad()
def draw_samples(
    network: TrainedNetwork,
    conditioner: Conditioner,
    samples: Sequence[TrainingSample],
    sampling: SamplerOptions,
    guidance: Guidance,
    precision: torch.dtype,
) -> list[DrawnSample]:
    """Generate samples from noise. Where weights are sharded, all ranks draw the same ones together: a rank alone would wait for the others' shards.

    Args:
        network: with the weights that are to be looked at; not the wrapper of DDP.
        conditioner: of the training.
        samples: with all their conditions.
        sampling: the checkpoint's own.
        guidance: away from the empty caption; of scale 1 for a network that never saw one.
        precision: of matrix products.
    """
    was_training = network.training
    network.eval()
    try:
        return [
            _drawn(network, conditioner, sample, Denoiser(network.transformer, conditioner.checkpoint.layout, sampling, guidance), precision)
            for sample in samples
        ]
    finally:
        network.train(was_training)


def write_sheet(drawn: Sequence[DrawnSample], out: Path, step: int, held_out: bool = True) -> Pixels:
    """Write OUT/samples/step-000500.png, whole or not at all. It says whether the samples were held out.

    Returns:
        the picture, (H, W, 3).
    """
    path = out / FOLDER / f"step-{step:06d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    whose = "samples of characters that were never trained on" if held_out else "samples of the training"
    figure = sheet(drawn, f"Step {step:,}: {whose}, drawn from noise")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content.getvalue())
    temporary.replace(path)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _drawn(network: TrainedNetwork, conditioner: Conditioner, sample: TrainingSample, denoiser: Denoiser, precision: torch.dtype) -> DrawnSample:
    codec = conditioner.checkpoint.codec
    batch = conditioner([sample], sigma=torch.ones(1), given=0)
    bare = replace(sample, caption="", text_embedding=None, latents=batch.clean[0], anchor_classes=(), waveform=None, audio_features=None)
    uncaptioned = conditioner([bare], sigma=torch.ones(1), given=0)
    with precise(precision, conditioner.device):
        conditions = _conditions(network, sample, batch, uncaptioned)
        latents = denoiser.denoise(batch.noise, conditions)
    return DrawnSample(
        sample.key,
        sample.caption,
        tuple(str(anchor) for anchor in sample.anchor_classes),
        _anchor_pixels(codec, sample, conditioner.device),
        _decoded(codec, batch.clean) if sample.frames is None else sample.frames.numpy(),
        _decoded(codec, latents),
    )


def _conditions(network: TrainedNetwork, sample: TrainingSample, batch: TrainingBatch, uncaptioned: TrainingBatch) -> Conditions:
    """What the sample was, but for its frames: those are given only to networks that need the first one."""
    inputs, channels = batch.inputs, batch.clean.shape[1]
    text, negative = inputs.text, uncaptioned.inputs.text
    if network.text_encoder is not None:
        text, negative = network.text_encoder(list(inputs.prompts)), network.text_encoder([""])
    assert text is not None
    assert negative is not None
    anchors = None
    if inputs.anchors is not None and inputs.anchor_positions is not None:
        anchors = Anchors(inputs.anchors, inputs.anchor_positions, tuple(str(anchor) for anchor in sample.anchor_classes))
    hears = inputs.audio_mask is not None and bool(inputs.audio_mask.any())
    given = int((~batch.learned).sum())
    condition = inputs.hidden_states[:, -channels:] if given else None  # beside, the last channels tell the given frames
    return Conditions(text, negative, inputs.picture, anchors, inputs.audio if hears else None, given, condition)


def _anchor_pixels(codec: Codec, sample: TrainingSample, device: torch.device) -> Pixels:
    if sample.anchor_frames is not None:
        return sample.anchor_frames.numpy()
    if sample.anchor_latents is None or not len(sample.anchor_latents):
        return np.zeros((0, 1, 1, 3), np.uint8)
    return np.concatenate([_decoded(codec, latents[None, :, None].to(device, torch.float32)) for latents in sample.anchor_latents])


def _decoded(codec: Codec, latents: Tensor) -> Pixels:
    """Of latents (1, C, f, h, w)."""
    frames = codec.decode(latents)[0].float().clamp(-1, 1)
    return ((frames + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def sheet(drawn: Sequence[DrawnSample], title: str) -> Figure:
    """For each sample its caption; on the left its anchors, on the right the true clip above the generated one."""
    columns = max(_anchor_columns(sample) for sample in drawn)
    width = (columns + FRAMES) * (CELL + GAP) + 4 * GAP
    letters = int((width - 2 * GAP) / LETTER)
    captions = [textwrap.wrap(sample.caption or "no caption", letters, max_lines=3, placeholder=" …") for sample in drawn]
    heights = [(1 + len(caption)) * LABEL + 2 * (_cell_height(sample) + LABEL + GAP) + BLOCK for sample, caption in zip(drawn, captions, strict=True)]
    height = 2 * LABEL + sum(heights)
    with rc_context(STYLE):
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        _tell(axes, GAP, LABEL, title, color=INK, fontsize=11, fontweight="bold")
        top = 2.0 * LABEL
        for sample, caption, taken in zip(drawn, captions, heights, strict=True):
            axes.plot([GAP, width - GAP], [top, top], color=LINE, linewidth=0.8)
            _draw_block(axes, sample, caption, top, columns * (CELL + GAP) + 3 * GAP)
            top += taken
        figure.canvas.draw()
    return figure


def _draw_block(axes: Axes, sample: DrawnSample, caption: Sequence[str], top: float, right: float) -> None:
    """A sample; ``right`` is where the frames begin."""
    cell = _cell_height(sample)
    _tell(axes, GAP, top + LABEL, sample.key, color=FAINT, fontsize=8.5)
    for number, line in enumerate(caption):
        _tell(axes, GAP, top + (number + 2) * LABEL, line, color=INK, fontsize=9.5)
    first = top + (1 + len(caption)) * LABEL
    rows = [first + LABEL + GAP, first + 2 * (LABEL + GAP) + cell]
    columns = _anchor_columns(sample)
    for number, (name, picture) in enumerate(zip(sample.anchor_names[:MOST_ANCHORS], sample.anchors, strict=False)):
        row, column = divmod(number, columns)
        more = len(sample.anchor_names) - MOST_ANCHORS
        _show(axes, picture, GAP + column * (CELL + GAP), rows[row], cell, name + (f" (and {more} more)" if more > 0 and number == MOST_ANCHORS - 1 else ""))
    if not sample.anchor_names:
        _tell(axes, GAP, rows[0] - 3, "no anchors", color=FAINT, fontsize=8)
    for name, frames, above in (("clip", sample.clip, rows[0]), ("generated", sample.generated, rows[1])):
        for column, frame in enumerate(np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)):
            _show(axes, frames[frame], right + column * (CELL + GAP), above, cell, f"{name}, frame {frame}")


def _show(axes: Axes, picture: Pixels, left: float, top: float, height: float, label: str) -> None:
    enlarged = picture.shape[1] < CELL
    axes.imshow(picture, extent=(left, left + CELL, top + height, top), aspect="auto", interpolation="nearest" if enlarged else "antialiased", zorder=2)
    _tell(axes, left, top - 3, label, color=FAINT, fontsize=8)


def _tell(axes: Axes, left: float, base: float, text: str, color: str, fontsize: float, fontweight: str = "normal") -> None:
    """Text as it is: a dollar sign is no formula."""
    axes.text(left, base, text, color=color, fontsize=fontsize, fontweight=fontweight, va="baseline", parse_math=False)


def _anchor_columns(sample: DrawnSample) -> int:
    """Anchors stand in two rows, beside those of the frames."""
    return max(1, -(-min(len(sample.anchor_names), MOST_ANCHORS) // 2))


def _cell_height(sample: DrawnSample) -> int:
    _, height, width, _ = sample.clip.shape
    return round(CELL * height / width)
