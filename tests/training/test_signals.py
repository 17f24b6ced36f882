import os
import signal
from collections.abc import Callable

import pytest

from tests.training.small_training import assembled
from training.options import TrainingOptions
from training.processes import Processes
from training.signals import signals_heard

Make = Callable[..., TrainingOptions]


def test_signals_ask_for_an_end_and_a_second_one_insists(small_options: Make, alone: Processes) -> None:
    parts = assembled(small_options(), alone)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with parts.log, signals_heard(parts):
        os.kill(os.getpid(), signal.SIGTERM)
        assert parts.stop_asked
        assert "SIGTERM: saving after this step" in parts.log.console.file.getvalue()  # type: ignore[attr-defined]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert {number: signal.getsignal(number) for number in before} == before
