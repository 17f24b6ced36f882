"""Asking once more when an answer is of no use."""

from typing import Any

from schemas.vocabulary import PendingReason

REPAIRED = frozenset({PendingReason.INVALID_JSON, PendingReason.WRONG_SCHEMA, PendingReason.WRONG_ID, PendingReason.CUT_SHORT})
"""Problems of an answer's form: the model may do better when it is told."""

SHOWN = 1000
"""Characters of the useless answer that are shown again."""

COMPLAINT = 'Your answer cannot be used: {message}. Look again and answer once more, with the request_id "{request_id}", as one JSON object and nothing else.'


def repair_messages(messages: list[dict[str, Any]], request_id: str, problem: PendingReason, message: str, answer: str | None) -> list[dict[str, Any]]:
    """The messages of the second request.

    Args:
        messages: of the question, made with the second request's id.
        request_id: of the second request.
        problem: of the first answer.
        message: what is wrong with it.
        answer: the first answer. It is not shown when it came with the id of another request: it may be about another person's picture.
    """
    complaint = COMPLAINT.format(message=message, request_id=request_id)
    if answer is None or problem is PendingReason.WRONG_ID:
        *before, last = messages
        # Some chat templates refuse two messages of the user in a row.
        return [*before, {**last, "content": [*last["content"], {"type": "text", "text": complaint}]}]
    return [*messages, {"role": "assistant", "content": answer[:SHOWN]}, {"role": "user", "content": complaint}]
