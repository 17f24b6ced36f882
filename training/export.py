"""From a training's checkpoint to a folder in diffusers' layout: the weights are the training's, all else is of the checkpoint that it started from.

No process group is needed, and no GPU: the weights are read in one piece, whatever number of ranks wrote them.
"""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
import yaml
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from model.checkpoint import INDEX, Checkpoint
from model.new_folder import new_folder
from model.presets import Usage
from training.checkpoint_folder import ABOUT, FOLDER, checkpoints_in, damaged, read_about
from training.errors import TrainingError
from training.snapshot import SNAPSHOT

Weights = Literal["average", "raw"]


def export(training_out: Path, to: Path, step: int | None = None, weights: Weights | None = None, start: Path | None = None) -> None:
    """Write the folder; it is there when it is whole.

    Args:
        training_out: OUT of the training, which may be running.
        to: the folder, new or empty. Beside what ``Checkpoint.save`` writes it gets training.json, which says what it is.
        step: of the checkpoint; the newest when not given.
        weights: the moving averages, or as they were trained; when not given, the averages if they were kept.
        start: the checkpoint that the training started from, where it is no longer where it was.

    Raises:
        TrainingError: there is no such checkpoint, it is damaged or does not fit what it started from, or the disk is full.
        ModelInputError: ``to`` cannot be written to, or the checkpoint that the training started from cannot be read.
    """
    path = saved(training_out, step)
    about = read_about(path)
    taken = weights or ("average" if has_averages(path) else "raw")
    with new_folder(to):
        checkpoint = trained_checkpoint(training_out, step, taken, start)
        unfinished = to.with_name(f".{to.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            checkpoint.save(unfinished)
            (unfinished / ABOUT).write_text(json.dumps({"weights": taken, **about}, indent=2))
            unfinished.replace(to)
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"{to} cannot be written ({error}); make room, or choose another folder with --to") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def trained_checkpoint(training_out: Path, step: int | None = None, weights: Weights | None = None, start: Path | None = None) -> Checkpoint:
    """A training's network with all that goes with it, on the CPU, its weights of the type in which they are trained; arguments and errors as of ``export``."""
    path = saved(training_out, step)
    tensors = read_weights(path, weights or ("average" if has_averages(path) else "raw"))
    checkpoint = Checkpoint.load(start or start_of(training_out), dtype=None)
    _put("transformer", checkpoint.transformer, tensors, path)
    if isinstance(checkpoint.text_encoder, nn.Module):
        _put("text_encoder", checkpoint.text_encoder, tensors, path)
    checkpoint.own_usage = _usage(training_out, checkpoint)
    return checkpoint


def _usage(training_out: Path, checkpoint: Checkpoint) -> Usage:
    """What the network is now meant for: frames of the size and chunks of the length that it was trained on, where those were said."""
    try:
        data = yaml.safe_load((training_out / SNAPSHOT).read_text())["data"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return checkpoint.usage
    area, frames = data.get("area"), data.get("frames")
    chunk = None if frames is None else 1 + (frames - 1) // checkpoint.codec.temporal_factor
    return replace(checkpoint.usage, area=area or checkpoint.usage.area, chunk_latents=chunk or checkpoint.usage.chunk_latents)


def saved(training_out: Path, step: int | None = None) -> Path:
    """The folder of a step's checkpoint, or of the newest.

    Raises:
        TrainingError: there is none; those that there are are named.
    """
    found = checkpoints_in(training_out / FOLDER)
    if not found:
        raise TrainingError(f"{training_out} has no checkpoint: give the --out of a training that has saved one (--checkpoint.every)")
    if step is None:
        return next(reversed(found.values()))
    if step not in found:
        raise TrainingError(f"{training_out} has no checkpoint of step {step}; it has {', '.join(map(str, found))}")
    return found[step]


def start_of(training_out: Path) -> Path:
    """The checkpoint in diffusers' layout that a training, or the training that it started from, and so on, started from.

    Raises:
        TrainingError: it is no longer there, or the training does not say.
    """
    snapshot = training_out / SNAPSHOT
    try:
        start = Path(yaml.safe_load(snapshot.read_text())["from_checkpoint"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())
        raise TrainingError(f"{snapshot} does not say what the training started from ({said}); give that folder with --from-checkpoint") from error
    if (start / INDEX).is_file():
        return start
    if (start / SNAPSHOT).is_file() and start.resolve() != training_out.resolve():
        return start_of(start)
    raise TrainingError(f"{training_out} started from {start}, which is no longer there: put it back, or say with --from-checkpoint where it is")


def has_averages(path: Path) -> bool:
    """Whether a checkpoint's folder holds moving averages.

    Raises:
        TrainingError: it is damaged.
    """
    return bool(_stored(FileSystemReader(path), path)["average"])


def read_weights(path: Path, weights: Weights) -> dict[str, Tensor]:
    """All weights in a checkpoint's folder, by their names in ``TrainedNetwork``; those that are not trained have no average, and are as they are.

    Raises:
        TrainingError: it is damaged, or no averages were kept.
    """
    reader = FileSystemReader(path)
    stored = _stored(reader, path)
    if weights == "average" and not stored["average"]:
        raise TrainingError(f"{path} has no averaged weights, since it was trained with --optimizer.average 0; give --weights raw")
    averages = stored["average"] if weights == "average" else {}
    raw = {name: tensor for name, tensor in stored["model"].items() if name not in averages}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # nobody meant it to be there
            load({"model": raw, "average": averages}, storage_reader=reader, no_dist=True)
    except CheckpointException as error:
        raise TrainingError(damaged(path, error)) from error
    return raw | averages


def _stored(reader: FileSystemReader, path: Path) -> dict[str, dict[str, Tensor]]:
    """Room for the model's tensors and their averages, by name."""
    try:
        metadata = reader.read_metadata()
    except Exception as error:  # a pickle that is cut off has many
        raise TrainingError(damaged(path, error)) from error
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}}
    for key, stored in metadata.state_dict_metadata.items():
        part, *rest = metadata.planner_data[key]
        if part in parts and isinstance(stored, TensorStorageMetadata):
            parts[part][rest[0]] = torch.empty(stored.size, dtype=stored.properties.dtype)
    return parts


def _put(part: str, module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    own = {name.removeprefix(f"{part}."): tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}
    try:
        module.load_state_dict(own, assign=True)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise TrainingError(
            f"{path} does not fit the {part} that the training started from ({said}); give the folder that it started from with --from-checkpoint"
        ) from error
