"""How a training is asked to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.parts import Parts


@contextmanager
def signals_heard(parts: Parts) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the training after the step that runs; a second one ends it at once."""

    def ask(number: int, _frame: FrameType | None) -> None:
        if parts.stop_asked:
            raise KeyboardInterrupt
        parts.stop_asked = True
        parts.log.say(f"{signal.Signals(number).name}: saving after this step; a second one ends it at once, and the newest checkpoint stands")

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
