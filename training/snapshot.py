"""The options of a training, written next to its checkpoints: what ``--config`` reads again, and what a resume is held to."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from model.checkpoint import Checkpoint
from model.samples.encode import latents_key
from training.errors import TrainingError
from training.options import TrainingOptions

SNAPSHOT = "config.yaml"
DATA = "data.json"

MAY_CHANGE = (
    "shards",
    "out",
    "from_checkpoint",
    "data.workers",
    "data.prefetch",
    "data.cache",
    "data.cache_gigabytes",
    "data.skip_damaged",
    "data.leave_out",
    "batch.micro",
    "parallel.",
    "checkpoint.",
    "validation.every",
    "validation.most_samples",
    "validation.quantiles",
    "validation.pictures",
    "log.",
)
"""What a resume may have other than before: where things are and how the work is laid out, nothing of what is learned. Groups end with a dot. The shards
and the checkpoint that was started from are held to their fingerprints, wherever they are."""


Fingerprints = dict[str, Any]
"""Of what a checkpoint gives to a training, beside the weights that are trained, by what it is."""


def fingerprints(checkpoint: Checkpoint, area: int) -> Fingerprints:
    """Of all that a training takes from the folder it started from whenever it goes on; the network's weights are in its own checkpoints.

    Args:
        checkpoint: what it starts from, as it was read.
        area: upper bound of width x height that clips are scaled down to, in pixels.
    """
    config = {name: value for name, value in checkpoint.transformer.config.items() if not name.startswith("_")}
    text = checkpoint.text_encoder  # where it is trained, it has no fingerprint, but a size
    described = {
        "text encoder": [type(text).__name__, text.dim, text.length],
        "sampling": asdict(checkpoint.sampling),
        "usage": asdict(checkpoint.usage),
        "network": config,
    }
    hashes = {name: hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() for name, content in described.items()}
    return asdict(latents_key(checkpoint, area)) | hashes


def write_snapshot(folder: Path, options: TrainingOptions, data: str, start: Fingerprints) -> None:
    """Write ``config.yaml``, and ``data.json`` with the fingerprints of the shards' index and of what the training starts from."""
    _write(folder / DATA, json.dumps({"fingerprint": data, "start": start}, indent=2))
    update_snapshot(folder, options)


def update_snapshot(folder: Path, options: TrainingOptions) -> None:
    """Write ``config.yaml`` anew, when a training goes on with what ``check_snapshot`` allows to be other than before."""
    start = Path(options.from_checkpoint).absolute()
    if start.resolve() == folder.resolve():  # a training goes on from itself: where it started is what its file says
        start = Path(yaml.safe_load((folder / SNAPSHOT).read_text())["from_checkpoint"])
    _write(folder / SNAPSHOT, yaml.safe_dump(_plain(replace(options, from_checkpoint=str(start))), sort_keys=False))


def check_snapshot(folder: Path, options: TrainingOptions, data: str) -> None:
    """Make sure that a training goes on with the options and the shards that it began with.

    Raises:
        TrainingError: it does not; every difference is listed, and what to do.
    """
    _check_options(folder, options)
    if _recorded(folder, "fingerprint") != data:
        raise TrainingError(
            f"{', '.join(options.shards)} holds other samples than the training in {folder} began with, so its place among them means nothing; give the same "
            f"shards, or train on these in a new --out, with --from-checkpoint {folder}"
        )


def check_start(folder: Path, options: TrainingOptions, start: Fingerprints) -> None:
    """Make sure that a training goes on with what it took from the folder it started from, wherever that folder lies now.

    Raises:
        TrainingError: it does not; what differs is named, and what to do.
    """
    before = _recorded(folder, "start")
    if before != start:
        changed = [name for name in start if before.get(name) != start[name]]
        raise TrainingError(
            f"{options.from_checkpoint} is not what the training in {folder} started from: other {', '.join(changed)}. Give that folder with "
            f"--from-checkpoint ({folder / SNAPSHOT} says where it was), or train with this one in a new --out"
        )


def _recorded(folder: Path, what: str) -> Any:
    try:
        return json.loads((folder / DATA).read_text())[what]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder / DATA} cannot be read ({error}); choose a new --out, with --from-checkpoint {folder}") from error


def _write(path: Path, content: str) -> None:
    """All of it or nothing."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(content)
    temporary.replace(path)


def _check_options(folder: Path, options: TrainingOptions) -> None:
    path = folder / SNAPSHOT
    try:
        before = dict(_leaves(yaml.safe_load(path.read_text())))
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}): {folder} has checkpoints, but not the options they were trained with; choose a new --out"
        ) from error
    now = dict(_leaves(_plain(options)))
    changed = [
        f"{name} was {before.get(name)}, is {now.get(name)}"
        for name in {**before, **now}
        if before.get(name) != now.get(name) and not _may_change(name, options)
    ]
    if changed:
        raise TrainingError(
            f"{folder} holds a training with other options: {'; '.join(changed)}. To go on with it, give the old ones (--config {path}); "
            "to train with the new ones, choose a new --out (and --from-checkpoint from this one, if it should learn on)"
        )


def _may_change(name: str, options: TrainingOptions) -> bool:
    if name == "steps":
        return options.optimizer.schedule == "constant"  # a cosine ends at the last step: another one is another schedule from the start
    return any(name == each or (each.endswith(".") and name.startswith(each)) for each in MAY_CHANGE)


def _plain(options: TrainingOptions) -> dict[str, Any]:
    """As YAML holds it: lists for tuples, and not that they came out of a file, which no file can say."""
    return {name: _lists(value) for name, value in asdict(options).items() if name != "config"}


def _lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lists(inner) for key, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, tuple | list) else value


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
