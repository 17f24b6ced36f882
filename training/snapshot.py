"""The options of a training, written next to its checkpoints: what ``--config`` reads again, and what a resume is held to."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

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
are held to their fingerprint, wherever they are."""


def write_snapshot(folder: Path, options: TrainingOptions, fingerprint: str) -> None:
    """Write ``config.yaml``, and ``data.json`` with the fingerprint of the shards' index."""
    (folder / SNAPSHOT).write_text(yaml.safe_dump(_plain(replace(options, from_checkpoint=str(Path(options.from_checkpoint).absolute()))), sort_keys=False))
    (folder / DATA).write_text(json.dumps({"fingerprint": fingerprint}))


def check_snapshot(folder: Path, options: TrainingOptions, fingerprint: str) -> None:
    """Make sure that a training goes on with what it began with.

    Raises:
        TrainingError: it does not; every difference is listed, and what to do.
    """
    _check_options(folder, options)
    try:
        before = json.loads((folder / DATA).read_text())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder / DATA} cannot be read ({error}); choose a new --out, with --from-checkpoint {folder}") from error
    if before != fingerprint:
        raise TrainingError(
            f"{', '.join(options.shards)} holds other samples than the training in {folder} began with, so its place among them means nothing; give the same "
            f"shards, or train on these in a new --out, with --from-checkpoint {folder}"
        )


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
