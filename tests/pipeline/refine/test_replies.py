"""Envelopes: what is one is read, what is none is said to be none, whatever it is."""

import json
from typing import Any

import pytest

from pipeline.refine.replies import Reply, ReplyError, read_object, read_reply


def envelope(**changes: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}
    return json.dumps({"model": "m", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}} | changes).encode()


def with_choice(message: Any, finish_reason: Any = "stop") -> bytes:
    return envelope(choices=[{"message": message, "finish_reason": finish_reason}])


def test_a_reply_is_read() -> None:
    assert read_reply(envelope()) == Reply("m", "{}", None, "stop", 5, 2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        envelope()[:-5],
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        envelope(choices=[]),
        envelope(choices=None),
        envelope(choices={"0": 1}),
        envelope(choices=["a"]),
        with_choice(None),
        with_choice("text"),
        with_choice({"content": "a"}, None),
        with_choice({"content": "a"}, 3),
        with_choice({"content": "a"}, "abort"),
        with_choice({"content": "a"}, "error"),
    ],
)
def test_what_is_no_reply_is_an_error_of_one_kind(body: bytes) -> None:
    with pytest.raises(ReplyError):
        read_reply(body)


@pytest.mark.parametrize("content", [None, "", 7, ["a"], {"a": 1}])
def test_a_reply_without_words_has_no_content(content: Any) -> None:
    assert read_reply(with_choice({"content": content})).content is None


def test_counts_and_names_that_are_none_are_left_out() -> None:
    usages: list[Any] = [None, [], {}, {"prompt_tokens": "5", "completion_tokens": True}, {"prompt_tokens": -1, "completion_tokens": 2**40}]
    for usage in usages:
        reply = read_reply(envelope(usage=usage, model=9))
        assert (reply.prompt_tokens, reply.completion_tokens, reply.model) == (None, None, None)


def test_halves_of_surrogate_pairs_become_text_that_can_be_stored() -> None:
    body = with_choice({"content": "a\ud83db"})
    content = read_reply(body).content
    assert content == "a\\ud83db"


def test_an_object_is_asked_for() -> None:
    assert read_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(ReplyError, match="object"):
        read_object(b"3")
