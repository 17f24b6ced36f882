import warnings

import pytest

from model.conditions.words import WordEmbedding
from training.cut_prompts import cut_prompts_told_once


def test_the_first_prompt_that_is_cut_is_told_and_other_warnings_stay() -> None:
    told: list[str] = []
    reads = WordEmbedding(dim=4, length=2, buckets=8)
    with warnings.catch_warnings(record=True) as others, cut_prompts_told_once(told.append):
        for prompt in ("one two three", "one two three", "four\nfive six seven"):
            with warnings.catch_warnings():  # as torch does, after which Python would show a warning again
                reads([prompt])
        warnings.warn("something else", stacklevel=1)
    assert told == ["the prompt 'one two three...' has 3 words and is cut at 2; shorten it. Further captions that are too long are cut without a word"]
    assert [str(other.message) for other in others] == ["something else"]
    with pytest.warns(UserWarning, match="is cut at 2"):
        reads(["one two three"])


def test_the_warning_of_the_other_encoder_is_known_too() -> None:
    told: list[str] = []
    with cut_prompts_told_once(told.append):
        warnings.warn("the prompt 'a woman...' has 600 tokens and is cut at 512; shorten it", stacklevel=1)
    assert len(told) == 1
