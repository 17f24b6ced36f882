from collections.abc import Sequence
from dataclasses import replace
from math import fsum

import pytest
import torch

from model.checkpoint import Checkpoint
from model.create import create_tiny
from model.flow import SigmaDistribution
from tests.training.held_out import sample
from tests.training.stand_ins import Alone
from training.conditioning import Conditioner
from training.data.places import Place
from training.data.sample import MicroBatch, Skipped, TrainingSample
from training.errors import TrainingError
from training.network import TrainedNetwork
from training.options import AugmentOptions, LossOptions, TrainingOptions
from training.validation import as_held_out, chosen_rows, loss_name, noise_levels, places_of_rank, validate

LEVELS = [0.25, 0.9]


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return create_tiny(0)


@pytest.fixture(scope="module")
def network(tiny: Checkpoint) -> TrainedNetwork:
    return TrainedNetwork.of(tiny)


@pytest.fixture(scope="module")
def conditioner(tiny: Checkpoint) -> Conditioner:
    return Conditioner(tiny, "cpu")


def one_by_one(samples: Sequence[TrainingSample]) -> list[MicroBatch]:
    return [MicroBatch((each,), ()) for each in samples]


def validated(network: TrainedNetwork, conditioner: Conditioner, samples: Sequence[TrainingSample], processes: Alone | None = None) -> dict[str, float]:
    told: list[Skipped] = []
    found = validate(network, conditioner, one_by_one(samples), LEVELS, processes or Alone(), torch.float32, told.extend)  # type: ignore[arg-type]
    assert not told
    return found


@torch.no_grad()
def loss_by_hand(checkpoint: Checkpoint, one: TrainingSample, sigma: float) -> float:
    """Of a sample without anchors: all frames noisy, noise of the sample's own seed."""
    assert one.frames is not None
    clean = checkpoint.codec.encode((one.frames.float() / 127.5 - 1).permute(3, 0, 1, 2)[None])
    noise = torch.randn(*clean.shape[1:], generator=torch.Generator().manual_seed(one.draws.noise_seed))[None]
    times = torch.full((1, clean.shape[2]), 1000 * sigma)
    text = checkpoint.text_encoder.encode([one.caption])
    velocity = checkpoint.transformer((1 - sigma) * clean + sigma * noise, times, text).sample
    return (velocity - (noise - clean)).square().mean().item()


def test_the_loss_is_that_of_the_sample_at_the_level(tiny: Checkpoint, network: TrainedNetwork, conditioner: Conditioner) -> None:
    one = sample(anchors=0)
    found = validated(network, conditioner, [one])
    truth = [loss_by_hand(tiny, one, level) for level in LEVELS]
    assert [found[loss_name(level)] for level in LEVELS] == pytest.approx(truth, rel=1e-4)
    assert found["loss"] == pytest.approx(sum(truth) / 2, rel=1e-4)
    assert found["samples"] == 1


def test_it_is_a_mean_over_samples_of_any_size_the_same_every_time(network: TrainedNetwork, conditioner: Conditioner) -> None:
    samples = [sample("a", 1), sample("b", 2, anchors=0), sample("c", 3, frames=5, height=24)]
    together = validated(network, conditioner, samples)
    alone = [validated(network, conditioner, [each]) for each in samples]
    for name in ("loss", *(loss_name(level) for level in LEVELS)):
        assert together[name] == pytest.approx(fsum(each[name] for each in alone) / 3)
    assert validated(network, conditioner, samples) == together


def test_what_was_drawn_for_training_has_no_part_in_it(network: TrainedNetwork, conditioner: Conditioner) -> None:
    one = sample()
    other = replace(one, draws=replace(one.draws, sigma=0.99, given=2))
    assert validated(network, conditioner, [other]) == validated(network, conditioner, [one])


def test_two_ranks_find_what_one_does_to_the_bit(network: TrainedNetwork, conditioner: Conditioner) -> None:
    samples = [sample(key, seed) for seed, key in enumerate("abc")]
    stand_in = sample("d", 4, counted=False)
    second = Alone(1, 2)
    validated(network, conditioner, [samples[1], stand_in], second)
    both = validated(network, conditioner, [samples[0], samples[2]], Alone(0, 2, second.gathered))
    assert both == validated(network, conditioner, samples)


def test_bfloat16_is_of_the_products_alone(network: TrainedNetwork, conditioner: Conditioner) -> None:
    exact, rounded = (
        validate(network, conditioner, one_by_one([sample()]), LEVELS, Alone(), dtype, lambda _: None)  # type: ignore[arg-type]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert rounded["loss"] == pytest.approx(exact["loss"], rel=0.01)
    assert rounded["loss"] != exact["loss"]


def test_the_network_goes_on_as_it_was(network: TrainedNetwork, conditioner: Conditioner) -> None:
    network.train()
    validated(network, conditioner, [sample()])
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    network.eval()
    validated(network, conditioner, [sample()])
    assert not network.training


def test_what_any_rank_skipped_is_told_once(network: TrainedNetwork, conditioner: Conditioner) -> None:
    told: list[Skipped] = []
    batches = [MicroBatch((sample("a", 1),), ()), MicroBatch((sample("b", 2, counted=False),), (Skipped("b", "b: is damaged"),))]
    elsewhere = Alone(0, 2, [([], [Skipped("c", "c: is damaged")])])
    found = validate(network, conditioner, batches, LEVELS, elsewhere, torch.float32, told.extend)  # type: ignore[arg-type]
    assert found["samples"] == 1
    assert [one.key for one in told] == ["b", "c"]


def test_samples_of_which_none_can_be_read_are_an_error(network: TrainedNetwork, conditioner: Conditioner) -> None:
    with pytest.raises(TrainingError, match=r"none of the samples .* could be read.*--validation\.share 0"):
        validated(network, conditioner, [sample(counted=False)])


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_each_row_is_looked_at_once_and_all_ranks_do_as_much(ranks: int) -> None:
    rows = [5, 3, 9, 1, 7]
    places = [places_of_rank(rows, rank, ranks) for rank in range(ranks)]
    assert len({len(each) for each in places}) == 1
    flat = [place for of_rank in places for batch in of_rank for place in batch]
    assert sorted(place.row for place in flat if place.counted) == sorted(rows)
    assert all(place in (Place(0, place.row), Place(0, 5, counted=False)) for place in flat)


def test_rows_are_chosen_by_their_keys_alone() -> None:
    keys = [f"clip-{number}" for number in range(50)]
    chosen = [keys[row] for row in chosen_rows(keys, range(50), 10)]
    assert len(set(chosen)) == 10
    turned = keys[::-1]
    assert [turned[row] for row in chosen_rows(turned, range(50), 10)] == chosen
    more = [f"new-{number}" for number in range(5)] + keys
    kept = [more[row] for row in chosen_rows(more, range(55), 10) if row >= 5]
    assert kept == chosen[: len(kept)]
    assert len(kept) >= 5
    assert chosen_rows(keys, [4, 2], 10) in ([4, 2], [2, 4])


def test_levels_are_the_middles_of_quantiles() -> None:
    sigmas = SigmaDistribution(shift=3.0)
    assert sigmas.quantile(torch.tensor(noise_levels(sigmas, 4))).tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875], abs=1e-5)
    assert noise_levels(SigmaDistribution("uniform", shift=1.0), 1) == [0.5]


def test_held_out_samples_keep_their_conditions() -> None:
    options = TrainingOptions(("s",), "o", "c", augment=AugmentOptions(True, True, True), loss=LossOptions(sigma_mean=1.0))
    held = as_held_out(options)
    assert (held.loss.drop_text, held.loss.drop_audio, held.loss.drop_anchors, held.augment) == (0, 0, 0, AugmentOptions())
    assert replace(held, augment=options.augment, loss=options.loss) == options
    assert held.loss.sigma_mean == 1.0
