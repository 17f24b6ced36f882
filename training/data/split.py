"""Which characters are held out for validation. By character, never by clip: clips of one character are too much alike."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

_WITHOUT = "--validation.share 0 trains without validation"


def held_out(character_ids: NDArray[Any], share: float, extra: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Of each sample, whether its character is held out.

    A character is, when the hash of its id falls below ``share``: whoever is held out stays so when samples, characters or seeds change.

    Args:
        character_ids: (N,) of every sample.
        share: of the characters, 0..1; 0 holds out none but ``extra``.
        extra: character_id of further ones.

    Raises:
        TrainingError: ``share`` holds out nobody, nobody is left to train on, or one of ``extra`` is not there.
    """
    if not 0 <= share < 1:
        raise TrainingError(f"validation.share must be from 0 up to, but not including 1, not {share}")
    names, which = np.unique(character_ids, return_inverse=True)
    if unknown := sorted(set(extra) - set(names.tolist())):
        raise TrainingError(f"validation.characters: the shards have no character {', '.join(unknown)}; check the spelling against character_id of the index")
    places = np.array([_place(name) for name in names.tolist()])
    chosen = (places < share) | np.isin(names.tolist(), list(extra))
    if share and not chosen.any():
        raise TrainingError(f"none of the {len(names)} characters falls into validation.share {share:g}: {_remedy(names.tolist(), places)}")
    if chosen.all():
        remedy = _WITHOUT if len(names) == 1 else "lower validation.share, name fewer in validation.characters"
        raise TrainingError(f"every character ({len(names)}) is held out for validation, none is left to train on; {remedy}, or add shards")
    return chosen[which]


def _remedy(names: Sequence[str], places: NDArray[np.float64]) -> str:
    """What to do when nobody is held out."""
    if len(names) == 1:
        return _WITHOUT
    enough = math.ceil(places.min() * 1000 + 1e-6) / 1000
    one = f"--validation.share {enough:g}" if enough < 1 and not (places < enough).all() else f"--validation.characters {names[int(places.argmin())]}"
    return f"{one} would hold out one, {_WITHOUT}"


def _place(character_id: str) -> float:
    """Where a character lies in 0..1."""
    return int.from_bytes(hashlib.sha256(character_id.encode()).digest()[:8], "big") / 2**64
