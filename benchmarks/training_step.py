"""Where the time of a training goes: the share of a step that is not the model's, the share of the device's rate that is used, memory.

    python -m benchmarks.training_step                                             the tiny network with a batch of 8 on a CPU
    python -m benchmarks.training_step --preset wan2_1_t2v_1_3b --device cuda        the 1.3B with 81 frames of 480 x 832 on one GPU, in bfloat16

The trainer itself runs, by its command line, on random latents: data are read from shards by workers, weights averaged, metrics written at every
fifth step, a checkpoint at every tenth, far oftener than in a training. What is told is what the trainer tells in metrics.jsonl, without the
first steps. Not the model's (``overhead``) is the time that is neither encoding nor forward and backward pass nor optimizer: waiting for data, logging,
averaging, checkpointing.

The networks around a large one are stand-ins of the right shapes, because latents and embeddings come from the shards. The exit status is 1 when the
overhead is above TARGET.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from rich.console import Console
from rich.table import Table

from benchmarks.latent_shards import latent_sample, random_numbers, write_latent_shards
from model.audio.log_mel import LogMel
from model.audio.protocols import FEATURE_RATE
from model.checkpoint import Checkpoint
from model.conditions.wan_codec import WanCodec
from model.conditions.words import WordEmbedding
from model.create import create_tiny
from model.positions import AnchorClass
from model.presets import preset
from model.sampler import SamplerOptions
from model.samples.encode import latents_key
from schemas.sample import Sample

TARGET = 0.05
SIZES = {"tiny": (32, 32, 17), "wan2_1_t2v_1_3b": (832, 480, 81), "wan2_2_ti2v_5b": (1280, 704, 121)}
"""Width, height and frames of a clip."""
SAMPLES, ANCHORS, CAPTION = 64, 5, "a woman walks through the rain and laughs at the camera"
LOGGED = 5
SEED = 0


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="training-step-") as temporary:
        folder = Path(temporary)
        start = folder / "start"
        checkpoint = checkpoint_of(options.preset)
        checkpoint.save(start)
        shards = write_latent_shards(folder / "shards", samples(checkpoint, options.preset, options.samples))
        del checkpoint
        lines = train(options, shards, start, folder / "out")
        shutil.rmtree(folder / "out")
    found = summary(lines[options.warm_up // LOGGED :]) | {"preset": options.preset, "device": options.device, "batch": options.batch, "steps": options.steps}
    tell(console, found)
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if found["overhead"] <= TARGET else 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_step", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(SIZES), default="tiny", help="network (default: tiny)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--steps", type=int, default=35, help="of the training (default: 35)")
    parser.add_argument("--warm-up", type=int, default=5, help="steps that do not count (default: 5)")
    parser.add_argument("--batch", type=int, default=8, help="samples per step (default: 8)")
    parser.add_argument("--micro", type=int, default=None, help="samples computed at once (default: all of a step)")
    parser.add_argument("--samples", type=int, default=SAMPLES, help=f"in the shards (default: {SAMPLES})")
    parser.add_argument("--checkpointing", action="store_true", help="of gradients")
    parser.add_argument("--compile", action="store_true", help="torch.compile each block")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the trainer (default: 1)")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    return parser.parse_args(arguments)


def checkpoint_of(name: str) -> Checkpoint:
    """A network with random weights, whole, and around it what is needed to read latents of the right shapes."""
    if name == "tiny":
        return create_tiny(SEED)
    recipe = preset(name)
    torch.manual_seed(SEED)
    transformer = recipe.build()
    channels = transformer.config.out_channels
    codec = AutoencoderKLWan(base_dim=4, z_dim=channels, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * channels, latents_std=[1.0] * channels)
    text = WordEmbedding(dim=transformer.config.text_dim, length=512, buckets=64, seed=SEED)
    return Checkpoint(transformer, WanCodec(codec), text, None, LogMel(), SamplerOptions("unipc", recipe.usage.steps, recipe.shift), recipe.usage)


def samples(checkpoint: Checkpoint, name: str, count: int) -> Iterator[Sample]:
    """Random latents, each with five anchors, a caption and sound."""
    generator, (width, height, frames) = np.random.default_rng(SEED), SIZES[name]
    codec = checkpoint.codec
    size = height // codec.spatial_factor, width // codec.spatial_factor
    classes = AnchorClass.all()[:ANCHORS]
    for number in range(count):
        yield latent_sample(
            f"clip-{number:05d}",
            f"character-{number:05d}",
            CAPTION,
            (width, height, frames),
            random_numbers(generator, codec.channels, 1 + (frames - 1) // codec.temporal_factor, *size),
            [(each, False) for each in classes],
            random_numbers(generator, ANCHORS, codec.channels, *size),
            latents_key(checkpoint, width * height),
            audio=random_numbers(generator, round(frames / 16 * FEATURE_RATE), checkpoint.audio_features.dim),
        )


def train(options: argparse.Namespace, shards: Path, start: Path, out: Path) -> list[dict[str, float]]:
    """Run the trainer; the lines of its training metrics."""
    width, height, _ = SIZES[options.preset]
    command = [
        *(sys.executable, "-m", "training", "--shards", str(shards), "--from-checkpoint", str(start), "--out", str(out), "--steps", str(options.steps)),
        *("--batch.size", str(options.batch), "--batch.micro", str(options.micro or options.batch), "--data.area", str(width * height)),
        *("--superset.count-weights", *["0"] * ANCHORS, "1", "--loss.drop-anchors", "0", "--validation.share", "0", "--log.every", str(LOGGED)),
        *("--checkpoint.every", "10", "--checkpoint.keep", "1", "--parallel.device", options.device, "--parallel.threads", str(options.threads)),
        *(["--parallel.gradient-checkpointing"] if options.checkpointing else []),
        *(["--parallel.compile"] if options.compile else []),
    ]
    subprocess.run(command, check=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "training"]


def summary(lines: Sequence[dict[str, float]]) -> dict[str, float | str]:
    """The mean of each figure over the time, so that what a few steps cost, such as a checkpoint, counts."""
    names = ("overhead", "data_wait", "seconds_per_step", "samples_per_second", "tokens_per_second", "share_of_peak", "memory_gigabytes")
    seconds = [line["seconds_per_step"] for line in lines]
    return {name: fmean((line[name] for line in lines), weights=seconds) for name in names if name in lines[0]}


def tell(console: Console, found: dict[str, float | str]) -> None:
    table = Table(title=f"{found['preset']}, {found['batch']} samples per step, {found['device']}")
    table.add_column("figure")
    table.add_column("mean", justify="right")
    for name in ("overhead", "data_wait", "share_of_peak"):
        table.add_row(name.replace("_", " ") + (f" (at most {TARGET:.0%})" if name == "overhead" else ""), f"{found[name]:.2%}")
    for name in ("seconds_per_step", "samples_per_second", "tokens_per_second", "memory_gigabytes"):
        if name in found:
            table.add_row(name.replace("_", " "), f"{found[name]:.4g}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
