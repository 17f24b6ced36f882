"""``python -m model generate``: from options to a finished video, with a log, progress, and a way to go on after a stop."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from model import attention_log
from model.attention_record import AttentionRecord, TokenCounts
from model.audio.waveform import Waveform
from model.checkpoint import Checkpoint
from model.errors import ModelInputError
from model.generate import fingerprint
from model.generate.anchor_pictures import fit_picture, read_anchors
from model.generate.blend import to_pixels
from model.generate.denoise import Anchors, Conditions, Denoiser, Guidance
from model.generate.inputs import Hearing, Words, choose_size, encode_anchors, read_image, to_frames
from model.generate.loop import ChunkLoop, ChunkVideo, Handover
from model.generate.options import Generate
from model.generate.plan import Chunk, ChunkPlan, exact_rate, frames_in
from model.generate.prompts import PromptSchedule, read_prompts
from model.generate.recording import Recording
from model.generate.state import Carry, RunState
from model.positions import AnchorPositions
from model.presets import Preset, preset
from model.sampler import SamplerOptions
from schemas.vocabulary import AnchorKind

STEPS_PER_RECORD = 4
"""Of so many steps one is looked at when attention is recorded: it costs as much as attending."""

_OF_NO_INFLUENCE = ("out", "preset", "threads", "restart", "record_attention")
"""Options that a frame does not depend on. Files are told by their content, not by their names."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that was read and decided before the first chunk."""

    checkpoint: Checkpoint
    plan: ChunkPlan
    width: int
    height: int
    sampling: SamplerOptions
    guidance: Guidance
    prompts: PromptSchedule
    anchors: Anchors | None
    image: Tensor | None
    picture: Tensor | None
    waveform: Waveform | None
    device: str


def generate(options: Generate, console: Console) -> None:
    """Make the video, or go on with it.

    Raises:
        ModelInputError: an input does not fit; nothing of an earlier run is lost.
    """
    with ExitStack() as stack:
        setting = prepare(options, console, stack)
        stack.enter_context(_alone(options.out))
        state = RunState.open(options.out, _settings(options, setting), options.restart)
        recording = stack.enter_context(Recording(options.out, setting.width, setting.height, setting.plan.rate, options.recording))
        if state.next_chunk == len(setting.plan) and options.out.exists():
            console.print(f"{options.out} is finished already; --restart makes it again", markup=False)
            recording.discard()
            return
        recording.truncate(0 if state.carry is None else state.carry.bytes_written)
        _make_chunks(options, setting, state, recording, console)
        count = recording.finish(options.out, setting.waveform)
        recording.discard()
    seconds = float(count / setting.plan.rate)
    console.print(f"{options.out}: {count} frames of {setting.width}x{setting.height}, {seconds:g} s; the log of its chunks is in {state.folder}", markup=False)


def _alone(out: Path) -> FileLock:
    """A lock that the system drops with the process, however that ends.

    Raises:
        ModelInputError: another process is making this video.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out.with_name(f".{out.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ModelInputError(f"another process is making {out} right now; wait for it, or choose another --out") from error
    return lock


def prepare(options: Generate, console: Console, stack: ExitStack) -> Setting:
    """Read and check everything, so that what is wrong is said before the first chunk and not after an hour.

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
    device, dtype = choose_device(options.device), options.dtype
    network = torch.bfloat16 if dtype == "bfloat16" or (dtype == "auto" and device != "cpu") else torch.float32
    waveform = None if options.audio is None else stack.enter_context(Waveform.open(options.audio))
    kinds = [AnchorKind.from_word(kind) for kind in options.anchor_kinds]
    pictures = [] if options.anchors is None else read_anchors(options.anchors, options.anchors_per_class, kinds, options.character)
    image = None if options.image is None else read_image(options.image)

    checkpoint = Checkpoint.load(options.checkpoint, network, options.preset).to(device)
    config, known = checkpoint.transformer.config, _defaults(checkpoint)
    if checkpoint.layout.beside and image is None:
        raise ModelInputError("this is an image-to-video network: give the first frame with --image")
    if waveform is not None and config.audio_dim is None:
        console.print("this network hears nothing: the audio goes under the video, but the lips will not follow it", style="yellow", markup=False)
    plan = _plan(options, checkpoint, known, waveform, console)
    prompts.check(plan.seconds)
    multiple = checkpoint.codec.spatial_factor * config.patch_size[1]
    first = image if image is not None else pictures[0].rgb if pictures else None
    width, height = choose_size(options.size, multiple, known.area, None if first is None else (first.shape[1], first.shape[0]))
    frame = None if image is None else to_frames([fit_picture(image, width, height, "--image")]).to(device)
    return Setting(
        checkpoint,
        plan,
        width,
        height,
        _sampling(options, checkpoint, known),
        Guidance(known.guidance if options.sampling.guidance is None else options.sampling.guidance, options.sampling.guidance_drops),
        prompts,
        encode_anchors(pictures, checkpoint, width, height, device),
        None if frame is None else frame[0],
        None if checkpoint.image_encoder is None or frame is None else checkpoint.image_encoder.encode(frame),
        waveform,
        device,
    )


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


def _defaults(checkpoint: Checkpoint) -> Preset:
    """How the network is meant to be used; one that we do not know by name is used as Wan's own of the same kind."""
    return preset(checkpoint.preset or ("wan2_1_i2v_14b" if checkpoint.layout.beside else "wan2_1_t2v_1_3b"))


def _sampling(options: Generate, checkpoint: Checkpoint, known: Preset) -> SamplerOptions:
    chosen, own = options.sampling, checkpoint.sampling
    steps = known.steps if chosen.steps is None else chosen.steps
    return SamplerOptions(chosen.sampler or own.name, steps, own.shift if chosen.shift is None else chosen.shift)


def _plan(options: Generate, checkpoint: Checkpoint, known: Preset, waveform: Waveform | None, console: Console) -> ChunkPlan:
    size = options.size
    seconds = size.seconds if size.seconds is not None else None if waveform is None else waveform.seconds
    if seconds is None:
        raise ModelInputError("how long is the video to be? give --size.seconds, or --audio")
    rate = exact_rate(known.frame_rate if size.frame_rate is None else size.frame_rate)
    total, note = frames_in(seconds, rate)
    if note is not None and size.seconds is not None:
        console.print(note, markup=False)
    if waveform is not None and waveform.seconds < float(total / rate) - 1:
        console.print(f"{options.audio} ends after {waveform.seconds:.1f} s; after that, silence", style="yellow", markup=False)
    positions: AnchorPositions = checkpoint.transformer.anchor_positions
    latents = known.chunk_latents if size.chunk_latents is None else size.chunk_latents
    return ChunkPlan(total, rate, latents, size.prefix_latents, checkpoint.codec.temporal_factor, positions.longest_chunk)


def _settings(options: Generate, setting: Setting) -> dict[str, Any]:
    """What the frames depend on."""
    chosen: dict[str, Any] = {name: value for name, value in asdict(options).items() if name not in _OF_NO_INFLUENCE}
    for name in ("checkpoint", "anchors", "image", "audio"):
        chosen[name] = fingerprint.of(getattr(options, name))
    chosen["prompt"] = [[str(entry.start), entry.prompt] for entry in setting.prompts.entries]
    decided = {
        "frames": setting.plan.total,
        "frame_rate": str(setting.plan.rate),
        "size": [setting.width, setting.height],
        "sampling": asdict(setting.sampling),
        "guidance": setting.guidance.scale,
        "device": setting.device,
        "threads": torch.get_num_threads() if setting.device == "cpu" else None,
        "dtype": str(setting.checkpoint.transformer.dtype),
        "torch": torch.__version__,
    }
    return {"options": chosen, "decided": decided}


def _make_chunks(options: Generate, setting: Setting, state: RunState, recording: Recording, console: Console) -> None:
    plan, carry = setting.plan, state.carry
    if carry is not None:
        console.print(f"going on after chunk {carry.chunk} of {len(plan)}, {carry.frames_written} frames", markup=False)
    records = _records(options, setting, state)
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("chunks"), TimeElapsedColumn(), TimeRemainingColumn(), console=console
    )
    with progress:
        task = progress.add_task("generating", total=len(plan), completed=state.next_chunk)
        loop = _loop(options, setting, records, lambda chunk, step: progress.update(task, description=_doing(chunk, step, setting)))
        handover = None if carry is None else Handover(carry.latents[None], carry.held)
        frames, started = 0 if carry is None else carry.frames_written, time.perf_counter()
        for made in loop.run(setting.image, state.next_chunk - 1, handover):
            recording.append(to_pixels(made.frames))
            frames += made.frames.shape[1]
            seconds, started = time.perf_counter() - started, time.perf_counter()
            if records is not None:
                records.write(made.chunk)
            state.commit(_carry(made, recording, frames), _line(made.chunk, setting, frames, seconds, recording.bytes_written))
            progress.advance(task)


def _loop(options: Generate, setting: Setting, records: "Records | None", on_step: Callable[[Chunk, int], None]) -> ChunkLoop:
    checkpoint, plan = setting.checkpoint, setting.plan
    denoiser = Denoiser(checkpoint.transformer, checkpoint.layout, setting.sampling, setting.guidance, options.cache_anchors)
    words = Words(checkpoint.text_encoder, setting.device)
    hears = setting.waveform is not None and checkpoint.transformer.config.audio_dim is not None
    window = checkpoint.transformer.config.audio_window
    hearing = Hearing(setting.waveform, checkpoint.audio_features, plan, window, setting.device) if hears and setting.waveform else None

    def denoise(chunk: Chunk, noise: Tensor, given: int, condition: Tensor | None) -> Tensor:
        conditions = Conditions(
            text=words(setting.prompts.for_chunk(chunk)),
            negative=words(options.negative_prompt),
            picture=setting.picture,
            anchors=setting.anchors,
            audio=None if hearing is None else hearing(chunk),
            given=given,
            condition=condition,
        )
        record = None if records is None else records.begin(noise)

        def step_begins(step: int) -> None:
            on_step(chunk, step)
            if record is not None:
                record.active = step % STEPS_PER_RECORD == 0

        return denoiser.denoise(noise, conditions, record, step_begins)

    factor = checkpoint.codec.spatial_factor
    return ChunkLoop(
        plan,
        checkpoint.codec,
        denoise,
        (setting.height // factor, setting.width // factor),
        options.sampling.seed,
        checkpoint.layout.beside,
        options.continuation,
        setting.device,
    )


class Records:
    """The attention of each chunk to each anchor, written beside the chunk log."""

    def __init__(self, path: Path, setting: Setting, anchors: Anchors) -> None:
        self._path, self._setting, self._anchors = path, setting, anchors
        self._record: AttentionRecord | None = None

    def begin(self, noise: Tensor) -> AttentionRecord:
        """The record of the chunk that is about to be made from this noise."""
        _, down, across = self._setting.checkpoint.transformer.config.patch_size
        _, _, count, height, width = self._anchors.latents.shape
        tokens = TokenCounts(noise.shape[2], noise.shape[3] // down * (noise.shape[4] // across), count, height // down * (width // across))
        self._record = AttentionRecord(tokens)
        return self._record

    def write(self, chunk: Chunk) -> None:
        """Write what was seen."""
        assert self._record is not None
        plan = self._setting.plan
        seconds = attention_log.latent_seconds(chunk.first, plan.latents, plan.temporal_factor, plan.rate)
        prompt = self._setting.prompts.for_chunk(chunk)
        row = attention_log.ChunkAttention.of(chunk.number, chunk.first, seconds, list(self._anchors.names), self._record.result(), prompt)
        attention_log.append(self._path, row)


def _records(options: Generate, setting: Setting, state: RunState) -> Records | None:
    if not options.record_attention:
        return None
    if setting.anchors is None:
        raise ModelInputError("--record-attention records the attention to anchors, and there are none; give --anchors")
    path = state.folder / attention_log.NAME
    attention_log.cut(path, state.next_chunk)
    return Records(path, setting, setting.anchors)


def _carry(made: ChunkVideo, recording: Recording, frames: int) -> Carry:
    return Carry(made.chunk.number, recording.bytes_written, frames, made.handover.held, made.handover.condition[0])


def _line(chunk: Chunk, setting: Setting, frames: int, seconds: float, size: int) -> Mapping[str, Any]:
    """What the log says about a chunk."""
    return {
        "first_frame": chunk.first,
        "new_frames": [chunk.new.start, chunk.new.stop],
        "at_seconds": round(float(chunk.new_at), 3),
        "frames_written": frames,
        "prompt": setting.prompts.for_chunk(chunk),
        "took_seconds": round(seconds, 3),
        "resident_mib": _resident_mib(),
        "bytes_written": size,
    }


def _doing(chunk: Chunk, step: int, setting: Setting) -> str:
    return f"{float(chunk.new_at):.1f} s, step {step + 1} of {setting.sampling.steps}"


def _resident_mib() -> float:
    """Memory that this process holds now, in MiB (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
