import re

import numpy as np
import pytest

from training.data.split import held_out
from training.errors import TrainingError

CHARACTERS = np.array([f"character{n % 400}" for n in range(1200)], np.dtypes.StringDType())


def test_about_the_share_of_the_characters_with_all_their_samples() -> None:
    chosen = held_out(CHARACTERS, 0.2)
    out, left = set(CHARACTERS[chosen].tolist()), set(CHARACTERS[~chosen].tolist())
    assert not out & left
    assert 50 <= len(out) <= 110


def test_who_is_held_out_stays_so() -> None:
    few = held_out(CHARACTERS[:300], 0.2)
    assert (held_out(CHARACTERS, 0.2)[:300] == few).all()
    assert held_out(CHARACTERS, 0.3)[held_out(CHARACTERS, 0.2)].all()


def test_further_ones_by_name() -> None:
    chosen = held_out(CHARACTERS, 0.0, ("character7",))
    assert set(CHARACTERS[chosen].tolist()) == {"character7"}
    assert not held_out(CHARACTERS, 0.0).any()
    with pytest.raises(TrainingError, match="the shards have no character nobody"):
        held_out(CHARACTERS, 0.0, ("nobody", "character7"))


def test_an_empty_split_says_what_would_fill_it() -> None:
    with pytest.raises(TrainingError, match=r"none of the 3 characters falls into validation.share 0.0001") as error:
        held_out(np.array(["a", "b", "c"]), 0.0001)
    share = re.search(r"--validation.share (\S+) would hold out one", str(error.value))
    assert share is not None
    assert held_out(np.array(["a", "b", "c"]), float(share[1])).sum() == 1
    assert "--validation.share 0 trains without validation" in str(error.value)


def test_one_character_cannot_be_held_out() -> None:
    for share in (0.0001, 0.9999):
        with pytest.raises(TrainingError, match=r"--validation\.share 0 trains without validation") as error:
            held_out(np.array(["only", "only"]), share)
        assert "would hold out" not in str(error.value)


def test_two_characters_too_close_for_a_share_between_them_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.split._place", {"a": 0.50001, "b": 0.50002}.__getitem__)
    with pytest.raises(TrainingError, match=r"--validation\.characters a would hold out one, --validation\.share 0 trains without"):
        held_out(np.array(["a", "b"]), 0.1)


def test_somebody_is_left_to_train_on() -> None:
    with pytest.raises(TrainingError, match=r"every character \(1\) is held out"):
        held_out(np.array(["only", "only"]), 0.0, ("only",))
    with pytest.raises(TrainingError, match="not 1"):
        held_out(CHARACTERS, 1.0)
