import pytest

from pipeline.report.style import bins, clock, font, spoken
from schemas.vocabulary import AnchorKind


@pytest.mark.parametrize(
    ("pts_ns", "text"),
    [
        (0, "00:00.000"),
        (1_499_999, "00:00.001"),
        (61_042_000_000, "01:01.042"),
        (3_600_000_000_000, "1:00:00.000"),
        (-500_000_000, "-00:00.500"),
        (999_999_999, "00:01.000"),
    ],
)
def test_times_are_read_in_minutes_seconds_and_milliseconds(pts_ns: int, text: str) -> None:
    assert clock(pts_ns) == text


def test_every_bin_once() -> None:
    assert len(bins()) == len(set(bins())) == 1 + 4 + 8
    assert bins()[0] == (AnchorKind.GLOBAL, None)
    assert (AnchorKind.EXPRESSION, "contempt") in bins()


def test_words_and_letters() -> None:
    assert spoken("too_close_in_time") == "too close in time"
    assert font(20, bold=True).getlength("anchor") > font(20).getlength("anchor") > font(10).getlength("anchor")
