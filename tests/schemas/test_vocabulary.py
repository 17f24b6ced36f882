"""Codes are on disk in other people's buckets: this file is the second place they are written down."""

import pytest

from schemas.vocabulary import SUBCLASSES, AnchorKind, Coded, Expression, RejectReason, Viewpoint, words

CODES: dict[type[Coded], dict[str, int]] = {
    AnchorKind: {"global": 0, "viewpoint": 1, "expression": 2},
    Viewpoint: {"front": 0, "left": 1, "right": 2, "back": 3},
    Expression: {"neutral": 0, "happy": 1, "sad": 2, "angry": 3, "surprise": 4, "fear": 5, "disgust": 6, "contempt": 7},
}


@pytest.mark.parametrize("vocabulary", CODES)
def test_codes_never_change(vocabulary: type[Coded]) -> None:
    assert {member.word: int(member) for member in vocabulary} == CODES[vocabulary]


@pytest.mark.parametrize("vocabulary", CODES)
def test_words_and_members_translate_both_ways_in_the_order_of_codes(vocabulary: type[Coded]) -> None:
    assert [vocabulary.from_word(word) for word in vocabulary.words()] == sorted(vocabulary)


def test_an_unknown_word_is_named_together_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'sideways' is not a Viewpoint; the words are front, left, right, back"):
        Viewpoint.from_word("sideways")


def test_every_kind_of_anchor_says_what_its_subclasses_are() -> None:
    assert {AnchorKind.GLOBAL: None, AnchorKind.VIEWPOINT: Viewpoint, AnchorKind.EXPRESSION: Expression} == SUBCLASSES


def test_words_of_a_string_enum_are_its_values() -> None:
    assert "too_dark" in words(RejectReason)
    assert words(Viewpoint) == ["front", "left", "right", "back"]
