from fractions import Fraction

import pytest

from pipeline.pack.grid import exact_rate, frame_instants, sample_count


@pytest.mark.parametrize(
    ("rate", "exact"),
    [
        (24000 / 1001, Fraction(24000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (16.0, Fraction(16)),
        (12.5, Fraction(25, 2)),
        (23.976, Fraction(2997, 125)),
    ],
)
def test_floats_stand_for_the_usual_rates(rate: float, exact: Fraction) -> None:
    assert exact_rate(rate) == exact


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="must be a positive number"):
        exact_rate(rate)


def test_instants_do_not_drift() -> None:
    instants = frame_instants(7, 1_000_001, 24000 / 1001)
    assert instants[0] == 7
    assert instants[24_000] == 7 + 1001 * 1_000_000_000
    assert instants[1_000_000] == 7 + round(Fraction(1_000_000 * 1001 * 1_000_000_000, 24_000))
    assert list(frame_instants(0, 3, 16.0)) == [0, 62_500_000, 125_000_000]


def test_samples_last_as_long_as_the_frames() -> None:
    assert sample_count(81, 16.0, 16_000) == 81_000
    assert sample_count(81, 24000 / 1001, 16_000) == round(81 * 1001 / 24000 * 16_000)
