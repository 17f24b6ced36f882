"""What can go wrong with a request, told apart by what is to be done about it."""

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
import openai

from pipeline.refine.backoff import asked_wait, is_retried
from pipeline.refine.redaction import Redaction
from pipeline.refine.replies import ReplyError, read_object
from pipeline.refine.transport import ReplyTooLargeError
from schemas.vocabulary import PendingReason

REFUSES_KEY = frozenset({401, 403})
KNOWS_NOT = 404

BY_STATUS = {408: PendingReason.TIMED_OUT, 409: PendingReason.SERVER_ERROR, 429: PendingReason.RATE_LIMITED}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request brought no answer.

    Attributes:
        problem: typed.
        message: in words, without secrets.
        is_retried: whether the same request may succeed another time.
        has_arrived: the server had the request, or may have had it.
        is_alive: the server said something that only a healthy one says.
        status: of HTTP, if the server answered with an error.
        asked_wait: seconds that the server wants to be left alone, if it says so.
    """

    problem: PendingReason
    message: str
    is_retried: bool = True
    has_arrived: bool = True
    is_alive: bool = False
    status: int | None = None
    asked_wait: float | None = None

    @property
    def refuses_key(self) -> bool:
        """Whether the server says that the key is no good."""
        return self.status in REFUSES_KEY

    @property
    def is_doubtful(self) -> bool:
        """Whether this may be said of one request or of all: only another one tells."""
        return self.refuses_key or self.status == KNOWS_NOT

    @property
    def nobody_listens(self) -> bool:
        """Whether there was nobody to connect to."""
        return not self.has_arrived


def trouble_of(error: Exception, redaction: Redaction) -> Trouble | None:
    """What an error of a request means; None when it is none that a server or a network could have made.

    Args:
        error: raised by the OpenAI client, the transport or the reading of the reply.
        redaction: for the message.
    """
    match error:
        case openai.APIStatusError():
            return _of_status(error.response, redaction)
        case ReplyTooLargeError():
            return Trouble(PendingReason.TOO_LARGE, redaction.message(str(error)), is_retried=False, is_alive=True)
        case ReplyError():
            return Trouble(PendingReason.SERVER_ERROR, redaction.message(f"the reply cannot be read: {error}"))
        case openai.APITimeoutError():
            arrived = not isinstance(error.__cause__, httpx2.ConnectTimeout | httpx2.PoolTimeout)
            return Trouble(PendingReason.TIMED_OUT, "no reply in time" if arrived else "no connection in time", has_arrived=arrived)
        case TimeoutError():
            return Trouble(PendingReason.TIMED_OUT, "no reply in time")
        case openai.APIConnectionError() | ssl.SSLError() | OSError():
            cause = error.__cause__ or error
            message = redaction.message(f"{type(cause).__name__}: {cause}")
            return Trouble(PendingReason.CONNECTION_LOST, message, has_arrived=not isinstance(cause, httpx2.ConnectError))
        case ExceptionGroup():  # of attempts to connect, which are made side by side
            cause = error.exceptions[0]
            message = redaction.message(f"{type(cause).__name__}: {cause}")
            return trouble_of(cause, redaction) or Trouble(PendingReason.CONNECTION_LOST, message, has_arrived=False)
    return None


def _of_status(response: httpx2.Response, redaction: Redaction) -> Trouble:
    status = response.status_code
    said = re.sub(rf"^{status}\b[\s:-]*", "", redaction.message(_said(response)))  # the number is said already
    message = f"the server answers {status}" + (f": {said}" if said else "")
    if not is_retried(status):
        return Trouble(PendingReason.REFUSED, message, is_retried=False, is_alive=True, status=status)
    asked = asked_wait(response.headers.get("retry-after"), datetime.now(UTC))
    return Trouble(BY_STATUS.get(status, PendingReason.SERVER_ERROR), message, is_alive=status < 500, status=status, asked_wait=asked)


def _said(response: httpx2.Response) -> str:
    """The server's words: the message in its JSON, else its text."""
    try:
        content = read_object(response.content)
    except ReplyError:
        return response.text
    error = content.get("error", content)
    words = [error.get("message"), error.get("detail")] if isinstance(error, dict) else [error]
    return next((word for word in words if isinstance(word, str)), response.text)
