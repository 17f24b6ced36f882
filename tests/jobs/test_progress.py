"""Progress in a log and on a terminal says how far, how fast, and what failed."""

import io
import time

from rich.console import Console

from jobs.progress import Progress, StageProgress, clock


def show(terminal: bool) -> str:
    stream = io.StringIO()
    progress = Progress(Console(file=stream, force_terminal=terminal, width=160), line_seconds=0.05)
    with progress.stage("observe", 4, 120.0) as stage:
        stage.advance(60.0)
        stage.advance(30.0, failed=True)
        time.sleep(0.15)
    return stream.getvalue()


def test_a_log_gets_a_first_line_lines_in_between_and_a_last() -> None:
    lines = show(terminal=False).splitlines()
    assert lines[0] == "observe: 4 units, 0:02:00 of video"
    assert len(lines) >= 3
    assert "2/4 units, 0:01:30 of 0:02:00 video" in lines[1]
    assert "1 failed" in lines[1]
    assert "× real time" in lines[1]
    assert lines[1].endswith("to go")
    assert lines[-1].startswith("observe: ended after 0:00:00: 2/4 units")


def test_a_terminal_gets_a_bar() -> None:
    text = show(terminal=True)
    assert "75%" in text
    assert "2/4 units" in text


def test_the_share_is_of_video_where_it_is_known_and_of_units_elsewhere() -> None:
    timed, counted = StageProgress("observe", 2, 100.0), StageProgress("select", 2, 0.0)
    for stage in (timed, counted):
        assert (stage.share, stage.remaining) == (0.0, None)
        stage.advance(25.0)
    assert (timed.share, counted.share) == (0.25, 0.5)
    time.sleep(0.05)
    assert timed.remaining is not None
    assert abs(timed.remaining - 3 * timed.elapsed) < 0.02
    assert StageProgress("select", 0, 0.0).share == 1.0


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0.4, 61, 36061)] == ["0:00:00", "0:01:01", "10:01:01"]
