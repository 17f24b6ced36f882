"""What a chat server sends back: the envelope around the model's words, read without trust."""

import json
from dataclasses import dataclass
from typing import Any

BROKEN_OFF = frozenset({"abort", "error"})
"""Finish reasons of a server that gave up on a request, for example because it is being stopped."""

LARGEST_COUNT = 2**31 - 1


class ReplyError(ValueError):
    """A reply that is none: not JSON, or not of the shape of the chat API. Its sender is in trouble, not the question."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply.

    Attributes:
        model: as the server names it; None when it does not.
        content: the model's words; None when there are none, as from a reasoning model that only thought.
        refusal: why the model will not answer; None when it does.
        finish_reason: ``stop``, ``length``, or another of the server's words.
        prompt_tokens: as the server counts them; None when it does not.
        completion_tokens: likewise.
    """

    model: str | None
    content: str | None
    refusal: str | None
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None


def read_reply(body: bytes) -> Reply:
    """The reply in a body.

    Raises:
        ReplyError: it is not a chat completion with at least one choice that came to some end.
    """
    envelope = read_object(body)
    choices = envelope.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise ReplyError("it has no choices with a message")
    finish_reason = _text(choice.get("finish_reason"))
    if finish_reason is None or finish_reason in BROKEN_OFF:
        raise ReplyError(f"the server broke the answer off (finish_reason is {finish_reason})")
    usage = envelope.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        model=_text(envelope.get("model")),
        content=_text(message.get("content")),
        refusal=_text(message.get("refusal")),
        finish_reason=finish_reason,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        ReplyError: there is none.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ReplyError("it is not a JSON object")
    return content


def _text(value: Any) -> str | None:
    """A text that is not empty. Halves of surrogate pairs, which JSON lets through and no file takes, are spelt out."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None
