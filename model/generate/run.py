"""``python -m model generate``: from options to a finished video, with a log, progress, and a way to go on after a stop."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from model.errors import ModelInputError
from model.generate.attention_recording import AttentionRecording
from model.generate.blend import to_pixels
from model.generate.denoise import Conditions, Denoiser
from model.generate.inputs import Hearing
from model.generate.loop import ChunkLoop, ChunkVideo, Handover
from model.generate.options import Generate
from model.generate.plan import Chunk
from model.generate.prepare import Setting, check_out, prepare, settings
from model.generate.recording import Recording
from model.generate.state import FOLDER, Carry, RunState


def generate(options: Generate, console: Console) -> None:
    """Make the video, or go on with it.

    Raises:
        ModelInputError: an input does not fit; nothing of an earlier run is lost.
    """
    with ExitStack() as stack:
        check_out(options.out, options.restart)
        stack.enter_context(_alone(options.out))
        setting = prepare(options, console, stack)
        state = RunState.open(options.out, settings(options, setting), options.restart)
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
    folder = out.with_name(out.name + FOLDER)
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ModelInputError(f"another process is making {out} right now; wait for it, or choose another --out") from error
    return lock


def _make_chunks(options: Generate, setting: Setting, state: RunState, recording: Recording, console: Console) -> None:
    plan, carry = setting.plan, state.carry
    if carry is not None:
        console.print(f"going on: {carry.chunk + 1} of {len(plan)} chunks are done, {carry.frames_written} frames", markup=False)
    records = AttentionRecording.open(setting, state) if options.record_attention else None
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("chunks"), TimeElapsedColumn(), TimeRemainingColumn(), console=console
    )
    with progress:
        task = progress.add_task("generating", total=len(plan), completed=state.next_chunk)
        loop = _loop(options, setting, records, lambda chunk, step: progress.update(task, description=_doing(chunk, step, setting)))
        handover = None if carry is None else Handover(carry.latents[None], carry.held)
        frames, started = 0 if carry is None else carry.frames_written, _clocks()
        for made in loop.run(setting.image, state.next_chunk - 1, handover):
            recording.append(to_pixels(made.frames))
            frames += made.frames.shape[1]
            before, started = started, _clocks()
            if records is not None:
                records.write(made.chunk)
            state.commit(_carry(made, recording, frames), _line(made.chunk, setting, frames, started - before, recording.bytes_written))
            progress.advance(task)


def _loop(options: Generate, setting: Setting, records: AttentionRecording | None, on_step: Callable[[Chunk, int], None]) -> ChunkLoop:
    checkpoint, plan = setting.checkpoint, setting.plan
    denoiser = Denoiser(checkpoint.transformer, checkpoint.layout, setting.sampling, setting.guidance, options.cache_anchors)
    hears = setting.waveform is not None and checkpoint.transformer.config.audio_dim is not None
    window = checkpoint.transformer.config.audio_window
    hearing = Hearing(setting.waveform, checkpoint.audio_features, plan, window, setting.device) if hears and setting.waveform else None

    def denoise(chunk: Chunk, noise: Tensor, given: int, condition: Tensor | None) -> Tensor:
        conditions = Conditions(
            text=setting.words(setting.prompts.for_chunk(chunk)),
            negative=setting.words(options.negative_prompt),
            picture=setting.picture,
            anchors=setting.anchors,
            audio=None if hearing is None else hearing(chunk),
            given=given,
            condition=condition,
        )
        record = None if records is None else records.begin(noise)

        def step_begins(step: int) -> None:
            on_step(chunk, step)
            if records is not None:
                records.step(step)

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


def _carry(made: ChunkVideo, recording: Recording, frames: int) -> Carry:
    return Carry(made.chunk.number, recording.bytes_written, frames, made.handover.held, made.handover.condition[0])


def _line(chunk: Chunk, setting: Setting, frames: int, took: NDArray[np.float64], size: int) -> Mapping[str, Any]:
    """What the log says about a chunk."""
    return {
        "first_frame": chunk.first,
        "new_frames": [chunk.new.start, chunk.new.stop],
        "at_seconds": round(float(chunk.new_at), 3),
        "frames_written": frames,
        "prompt": setting.prompts.for_chunk(chunk),
        "took_seconds": round(float(took[0]), 3),
        "took_cpu_seconds": round(float(took[1]), 3),
        "resident_mib": _resident_mib(),
        "bytes_written": size,
    }


def _clocks() -> NDArray[np.float64]:
    """Seconds on the wall, and those that this process got of the CPU."""
    return np.array([time.perf_counter(), time.process_time()])


def _doing(chunk: Chunk, step: int, setting: Setting) -> str:
    return f"{float(chunk.new_at):.1f} s, step {step + 1} of {setting.sampling.steps}"


def _resident_mib() -> float:
    """Memory that this process holds now, in MiB (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
