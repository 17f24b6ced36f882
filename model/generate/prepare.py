"""Everything that is read and decided before the first chunk, so that what is wrong is said then and not after an hour."""

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from model.audio.waveform import Waveform
from model.checkpoint import Checkpoint
from model.errors import ModelInputError
from model.generate import fingerprint
from model.generate.anchor_pictures import fit_picture, read_anchors
from model.generate.denoise import Anchors, Guidance
from model.generate.inputs import Words, choose_size, encode_anchors, encode_picture, read_image, to_frames
from model.generate.options import Generate
from model.generate.plan import ChunkPlan, exact_rate, frames_in
from model.generate.prompts import PromptSchedule, read_prompts
from model.generate.state import FOLDER, SETTINGS
from model.positions import AnchorPositions
from model.sampler import SamplerOptions
from schemas.vocabulary import AnchorKind

SUFFIX = ".mp4"
STARTS_NAMED = 6
"""Chunks that a note about prompts names."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a video is made from and how.

    Attributes:
        checkpoint, plan, width, height, sampling, guidance, prompts, device: as chosen, or as the checkpoint has it.
        words: embeddings of all prompts.
        anchors: of the character; None for none.
        image: (3, H, W) in -1..1, the first frame; None to have it made.
        picture: (1, P, image_dim), where the network looks at one.
        waveform: the sound; None for a silent film.
        inputs: hashes of what the files hold.
    """

    checkpoint: Checkpoint
    plan: ChunkPlan
    width: int
    height: int
    sampling: SamplerOptions
    guidance: Guidance
    prompts: PromptSchedule
    words: Words
    anchors: Anchors | None
    image: Tensor | None
    picture: Tensor | None
    waveform: Waveform | None
    device: str
    inputs: dict[str, Any]


def check_out(out: Path, restart: bool) -> None:
    """Make sure that the video can be written where it is to be.

    Raises:
        ModelInputError: no MP4, a folder, somebody else's file, or a place that cannot be written to.
    """
    if out.suffix.lower() != SUFFIX:
        raise ModelInputError(f"--out {out}: the video is an MP4; give a name that ends in {SUFFIX}")
    if out.is_dir():
        raise ModelInputError(f"--out {out} is a folder; give the name of a file in it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelInputError(f"--out {out}: its folder cannot be made ({error.strerror}); choose another") from error
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ModelInputError(f"--out {out}: nothing can be written in its folder; choose another")
    if out.exists() and not restart and not (out.with_name(out.name + FOLDER) / SETTINGS).exists():
        raise ModelInputError(f"{out} is there already, and not from a run that could go on; choose another --out, or --restart to replace it")


def prepare(options: Generate, console: Console, stack: ExitStack) -> Setting:
    """Read and check everything.

    Args:
        options: from the command line.
        console: for notes.
        stack: closes what has to be closed.

    Raises:
        ModelInputError: something does not fit.
    """
    prompts = read_prompts(options.prompt)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    dtype = torch.bfloat16 if options.dtype == "bfloat16" or (options.dtype == "auto" and device != "cpu") else torch.float32
    waveform = None if options.audio is None else stack.enter_context(Waveform.open(options.audio))
    kinds = [AnchorKind.from_word(kind) for kind in options.anchor_kinds]
    pictures = [] if options.anchors is None else read_anchors(options.anchors, options.anchors_per_class, kinds, options.character)
    image = None if options.image is None else read_image(options.image)

    checkpoint = Checkpoint.load(options.checkpoint, dtype, options.preset).to(device)
    _check_network(checkpoint, options, console)
    plan = _plan(options, checkpoint, waveform, console)
    prompts.check(plan.seconds)
    _tell_unused(prompts, plan, console)
    multiple = checkpoint.codec.spatial_factor * checkpoint.transformer.config.patch_size[1]
    first = image if image is not None else pictures[0].rgb if pictures else None
    width, height = choose_size(options.size, multiple, checkpoint.usage.area, None if first is None else (first.shape[1], first.shape[0]))
    frame = None if image is None else to_frames([fit_picture(image, width, height, f"--image {options.image}")])
    # text and pictures first: a card need not hold what embeds them beside what they are embedded for
    words = Words(checkpoint.text_encoder, [options.negative_prompt, *(entry.prompt for entry in prompts.entries)], device, dtype)
    picture = None if checkpoint.image_encoder is None or frame is None else encode_picture(checkpoint.image_encoder, frame, device, dtype)
    inputs = {
        "checkpoint": fingerprint.of_folder(options.checkpoint),
        "anchors": [[str(anchor.anchor), _digest(anchor.rgb)] for anchor in pictures],
        "image": None if image is None else _digest(image),
        "audio": None if options.audio is None else fingerprint.of_file(options.audio),
    }
    return Setting(
        checkpoint,
        plan,
        width,
        height,
        _sampling(options, checkpoint),
        Guidance(checkpoint.usage.guidance if options.sampling.guidance is None else options.sampling.guidance, options.sampling.guidance_drops),
        prompts,
        words,
        encode_anchors(pictures, checkpoint, width, height, device),
        None if frame is None else frame[0],
        picture,
        waveform,
        device,
        inputs,
    )


def settings(options: Generate, setting: Setting) -> dict[str, Any]:
    """All that a frame depends on, as JSON can hold it: what was decided, however it was said, and what the files hold, whatever they are called."""
    return {
        "inputs": setting.inputs,
        "prompts": [[str(entry.start), entry.prompt] for entry in setting.prompts.entries],
        "negative_prompt": options.negative_prompt,
        "frames": setting.plan.total,
        "frame_rate": str(setting.plan.rate),
        "chunk_latents": setting.plan.latents,
        "prefix_latents": setting.plan.prefix,
        "width": setting.width,
        "height": setting.height,
        "sampling": asdict(setting.sampling),
        "guidance": asdict(setting.guidance),
        "seed": options.sampling.seed,
        "continuation": options.continuation,
        "cache_anchors": options.cache_anchors,
        "recording": asdict(options.recording),
        "device": setting.device,
        "dtype": str(setting.checkpoint.transformer.dtype),
        "threads": torch.get_num_threads() if setting.device == "cpu" else None,
        "torch": torch.__version__,
    }


def choose_device(name: str) -> str:
    """The device that ``auto`` stands for.

    Raises:
        ModelInputError: no such device here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ModelInputError(f"--device {name}: {' '.join(str(error).split())[:120]}") from error
    return name


def _check_network(checkpoint: Checkpoint, options: Generate, console: Console) -> None:
    if checkpoint.layout.beside and options.image is None:
        raise ModelInputError("this is an image-to-video network: give the first frame with --image")
    if options.audio is not None and checkpoint.transformer.config.audio_dim is None:
        console.print("this network hears nothing: the audio goes under the video, but the lips will not follow it", style="yellow", markup=False)
    if checkpoint.usage_guessed:
        used = checkpoint.usage
        console.print(
            f"{options.checkpoint} does not say how it is meant to be used and is no network known by name; taken as Wan's own: {used.area} pixels, "
            f"{used.chunk_latents} latent frames per chunk, {used.frame_rate:g} frames per second, {used.steps} steps, guidance {used.guidance:g}",
            style="yellow",
            markup=False,
        )


def _sampling(options: Generate, checkpoint: Checkpoint) -> SamplerOptions:
    chosen, own = options.sampling, checkpoint.sampling
    steps = checkpoint.usage.steps if chosen.steps is None else chosen.steps
    return SamplerOptions(chosen.sampler or own.name, steps, own.shift if chosen.shift is None else chosen.shift)


def _plan(options: Generate, checkpoint: Checkpoint, waveform: Waveform | None, console: Console) -> ChunkPlan:
    size, usage = options.size, checkpoint.usage
    seconds = size.seconds if size.seconds is not None else None if waveform is None else waveform.seconds
    if seconds is None:
        raise ModelInputError("how long is the video to be? give --size.seconds, or --audio")
    rate = exact_rate(usage.frame_rate if size.frame_rate is None else size.frame_rate)
    total, note = frames_in(seconds, rate)
    if note is not None and size.seconds is not None:
        console.print(note, markup=False)
    if waveform is not None and waveform.seconds < float(total / rate) - 1:
        console.print(f"{options.audio} ends after {waveform.seconds:.1f} s; after that, silence", style="yellow", markup=False)
    positions: AnchorPositions = checkpoint.transformer.anchor_positions
    latents = usage.chunk_latents if size.chunk_latents is None else size.chunk_latents
    return ChunkPlan(total, rate, latents, size.prefix_latents, checkpoint.codec.temporal_factor, positions.longest_chunk)


def _tell_unused(prompts: PromptSchedule, plan: ChunkPlan, console: Console) -> None:
    """Prompts change where a chunk begins: one that ends before the next chunk is never used, which should not go unsaid."""
    starts = [chunk.new_at for chunk in plan]
    ends = [*(entry.start for entry in prompts.entries[1:]), plan.seconds]
    for entry, end in zip(prompts.entries, ends, strict=True):
        if not any(entry.start <= start < end for start in starts):
            near = [f"{float(start):g}" for start in starts if start >= entry.start][:STARTS_NAMED]
            when = f"the next chunks begin at {', '.join(near)} s" if near else "no chunk begins after it"
            console.print(f"the prompt from {float(entry.start):g} s is never used: it ends before a chunk begins; {when}", style="yellow", markup=False)


def _digest(rgb: NDArray[np.uint8]) -> str:
    return sha256(f"{rgb.shape}".encode() + np.ascontiguousarray(rgb).tobytes()).hexdigest()[:16]
