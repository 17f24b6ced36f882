import time

from pipeline.stopwatch import Stopwatch


def test_seconds_add_up_by_step_also_when_a_step_fails() -> None:
    watch = Stopwatch()
    for _ in range(2):
        try:
            with watch.step("sleep"):
                time.sleep(0.01)
                raise KeyError
        except KeyError:
            pass
    with watch.step("nothing"):
        pass
    assert watch.seconds["sleep"] >= 0.02
    assert set(watch.seconds) == {"sleep", "nothing"}
