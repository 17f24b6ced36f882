import math

import pytest
import torch

from model.flow import SigmaDistribution
from training.data.draws import check_weights, draws_of, generator_of, seed_of, weighted_count
from training.data.sample import Draws
from training.errors import TrainingError
from training.options import LossOptions

SIGMAS = SigmaDistribution(shift=3.0)
MANY = 2000
KEYS = [f"clip{number}" for number in range(MANY)]


def draws(key: str, seed: int = 0, epoch: int = 0, options: LossOptions | None = None, clip_frames: int = 81, trained_frames: int = 81) -> Draws:
    return draws_of(seed, epoch, key, options or LossOptions(), SIGMAS, clip_frames, 4, trained_frames)


def near(count: int, share: float) -> bool:
    """Within four deviations of a binomial distribution."""
    return abs(count - MANY * share) <= 4 * math.sqrt(MANY * share * (1 - share))


def test_the_choices_are_a_function_of_seed_epoch_and_key() -> None:
    first = draws("a")
    torch.manual_seed(5)
    torch.rand(3)
    draws("b")
    assert draws("a") == first
    assert len({draws("a"), draws("b"), draws("a", seed=1), draws("a", epoch=1)}) == 4


def test_nobody_elses_random_numbers_change() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    draws("a")
    assert torch.equal(torch.rand(3), expected)


def test_what_is_for_one_purpose_is_not_for_another() -> None:
    assert len({seed_of(*parts) for parts in ((0, 1, "a", "x"), (0, 1, "a", "y"), (0, 11, "a", "x"), (0, 1, "1a", "x"), (1, 1, "a", "x"))}) == 5
    assert torch.equal(torch.rand(2, generator=generator_of(0, 0, "a", "x")), torch.rand(2, generator=generator_of(0, 0, "a", "x")))


def test_one_option_leaves_the_other_choices_as_they_are() -> None:
    one, other = draws("a", clip_frames=161), draws("a", options=LossOptions(drop_text=1, given_weights=(0, 0, 0, 1)), clip_frames=161)
    assert (one.first_frame, one.sigma, one.noise_seed, one.drop_audio, one.drop_anchors) == (
        other.first_frame,
        other.sigma,
        other.noise_seed,
        other.drop_audio,
        other.drop_anchors,
    )
    assert other.given == 3
    assert other.drop_text


def test_conditions_are_dropped_as_often_as_said_and_each_for_itself() -> None:
    options = LossOptions(drop_text=0.3, drop_audio=0.2, drop_anchors=0.1)
    drawn = [draws(key, options=options) for key in KEYS]
    assert near(sum(each.drop_text for each in drawn), 0.3)
    assert near(sum(each.drop_audio for each in drawn), 0.2)
    assert near(sum(each.drop_anchors for each in drawn), 0.1)
    assert near(sum(each.drop_text and each.drop_audio for each in drawn), 0.06)
    never = LossOptions(drop_text=0, drop_audio=0, drop_anchors=0)
    assert not any(each.drop_text or each.drop_audio or each.drop_anchors for key in KEYS[:100] for each in [draws(key, options=never)])


def test_given_frames_follow_their_weights_as_far_as_the_clip_has_frames() -> None:
    options = LossOptions(given_weights=(2, 1, 1))
    given = [draws(key, options=options).given for key in KEYS]
    assert near(given.count(0), 0.5)
    assert near(given.count(1), 0.25)
    short = [draws(key, options=options, clip_frames=5, trained_frames=5).given for key in KEYS]  # two latents: one of them at most
    assert near(short.count(0), 2 / 3)
    assert max(short) == 1
    assert draws("a", options=LossOptions(given_weights=(0, 1)), clip_frames=1, trained_frames=1).given == 0  # nothing would be left to learn


def test_starts_are_whole_latents_and_all_alike() -> None:
    starts = [draws(key, clip_frames=30, trained_frames=17).first_frame for key in KEYS]
    assert set(starts) == {0, 4, 8, 12}
    assert all(near(starts.count(start), 0.25) for start in set(starts))
    assert {draws(key).first_frame for key in KEYS[:50]} == {0}


def test_noise_levels_follow_their_distribution() -> None:
    quantiles = SIGMAS.quantile(torch.tensor([draws(key).sigma for key in KEYS]))
    assert all(near(int((quantiles < share).sum()), share) for share in (0.1, 0.5, 0.9))


def test_weights_that_cannot_be() -> None:
    for weights in ((), (0.0, 0.0), (1.0, -1.0), (1.0, math.inf), (math.nan,)):
        with pytest.raises(TrainingError, match=r"--loss.given-weights"):
            check_weights("--loss.given-weights", weights)
    check_weights("--loss.given-weights", (0, 1))
    assert weighted_count((0, 0, 1), generator_of(0, 0, "a", "x")) == 2
