"""Which replies are worth another try, and how long to wait before it."""

import email.utils
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

BUSY = frozenset({408, 409, 429})
"""What a server answers that is well but cannot take the request now."""


def is_retried(status: int) -> bool:
    """Whether a reply of this HTTP status may be another one next time."""
    return status in BUSY or status >= 500


def asked_wait(retry_after: str | None, now: datetime) -> float | None:
    """The seconds that a ``Retry-After`` header asks for; None when there is none or it says nothing.

    Args:
        retry_after: seconds, or an HTTP date.
        now: with a time zone; a date before it asks for no wait.
    """
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _until(retry_after, now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after failures: longer with each one, and never as long as anybody else ("full jitter").

    Attributes:
        first: seconds at most after the first failure; twice as many after each further one.
        longest: seconds at most after any number of failures.
        longest_asked: seconds at most that a server is obeyed when it names a time.
        random: where the jitter comes from. Verdicts do not depend on it; workers that share a seed would come back in step.
    """

    first: float = 0.5
    longest: float = 20.0
    longest_asked: float = 60.0
    random: Random = field(default_factory=Random)

    def wait(self, failures: int, asked: float | None = None) -> float:
        """Seconds to wait.

        Args:
            failures: so far, from 1.
            asked: seconds that the server asked for: not less than these, and a little more, so that not all come back at once.
        """
        if asked is not None:
            return min(asked, self.longest_asked) + self.random.uniform(0.0, self.first)
        return self.random.uniform(0.0, min(self.longest, self.first * 2.0 ** min(failures - 1, 30)))


def _until(date: str, now: datetime) -> float:
    try:
        then = email.utils.parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return math.nan
    return ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()
