"""When one rank of several ends, the others fail at whatever they tell it next: that is no error of theirs."""

import os

GONE = ("Connection closed by peer", "Connection reset by peer", "Connection was likely closed", "Broken pipe", "ncclRemoteError")
"""What gloo, torch's store and NCCL say when the other side has ended. Their errors' types alone would not tell it from a network that does not work."""


def ended_by_another_rank(error: RuntimeError) -> bool:
    """Whether a collective operation failed because another rank has ended, whose own message says why."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and any(words in str(error) for words in GONE)
