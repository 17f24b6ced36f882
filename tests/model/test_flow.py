import math

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from model.flow import SigmaDistribution, clean_from_velocity, flow_loss, flow_losses, noisy, shift_sigma, target_velocity, timestep, unshift_sigma

SHAPE = (3, 4, 5, 2, 2)


def drawn(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(dtype)


CLEAN, NOISE = drawn(0), drawn(1)


def test_the_ends_of_the_line_are_data_and_noise() -> None:
    assert torch.equal(noisy(CLEAN, NOISE, torch.zeros(3)), CLEAN)
    assert torch.equal(noisy(CLEAN, NOISE, torch.ones(3)), NOISE)


def test_noise_is_added_as_diffusers_adds_it() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    sigmas = scheduler.sigmas[torch.tensor([10, 500, 990])]
    assert torch.allclose(noisy(CLEAN, NOISE, sigmas), scheduler.scale_noise(CLEAN, timestep(sigmas), NOISE))


def test_each_frame_can_have_its_own_sigma() -> None:
    sigma = torch.rand(3, 5, generator=torch.Generator().manual_seed(2))
    sigma[:, :2] = 0
    mixed = noisy(CLEAN, NOISE, sigma)
    for sample in range(3):
        for frame in range(5):
            s = sigma[sample, frame]
            assert torch.allclose(mixed[sample, :, frame], (1 - s) * CLEAN[sample, :, frame] + s * NOISE[sample, :, frame])
    assert torch.equal(mixed[:, :, :2], CLEAN[:, :, :2])


@pytest.mark.parametrize("wrong", [(), (1,), (5,), (3, 4), (3, 1)])
def test_a_sigma_of_another_shape_is_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sigma must be"):
        noisy(CLEAN, NOISE, torch.zeros(wrong))


def test_the_velocity_is_the_derivative_of_the_line() -> None:
    sigma = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    moved = (noisy(CLEAN.double(), NOISE.double(), sigma + 1e-4) - noisy(CLEAN.double(), NOISE.double(), sigma - 1e-4)) / 2e-4
    assert torch.allclose(moved.float(), target_velocity(CLEAN, NOISE), atol=1e-5)


@pytest.mark.parametrize("sigma", [torch.tensor([0.1, 0.6, 1.0]), torch.linspace(0, 1, 15).view(3, 5)])
def test_the_velocity_leads_back_to_the_data(sigma: Tensor) -> None:
    found = clean_from_velocity(noisy(CLEAN, NOISE, sigma), target_velocity(CLEAN, NOISE), sigma)
    assert torch.allclose(found, CLEAN, atol=1e-5)


def test_bfloat16_is_reckoned_in_float32() -> None:
    clean, noise = drawn(0, torch.bfloat16), drawn(1, torch.bfloat16)
    sigma = torch.tensor([0.1, 0.6, 1.0])
    assert torch.equal(target_velocity(clean, noise), noise.float() - clean.float())
    assert noisy(clean, noise, sigma).dtype == torch.float32
    assert flow_loss(clean, clean, noise).dtype == torch.float32
    assert flow_loss(clean, clean, noise).item() == pytest.approx((2 * clean.double() - noise.double()).square().mean().item(), rel=1e-5)


def test_the_loss_is_the_mean_squared_error_of_the_velocity() -> None:
    prediction = drawn(3)
    assert flow_loss(prediction, CLEAN, NOISE).item() == pytest.approx(torch.nn.functional.mse_loss(prediction, NOISE - CLEAN).item())
    assert flow_loss(NOISE - CLEAN, CLEAN, NOISE).item() == 0
    assert flow_losses(prediction, CLEAN, NOISE).shape == (3,)


def test_given_frames_are_left_out_and_samples_count_alike() -> None:
    mask = torch.tensor([[False, False, True, True, True], [True] * 5, [False, False, False, False, True]])
    prediction = drawn(3)
    squares = (prediction - (NOISE - CLEAN)).double().square()
    each = [squares[sample][:, mask[sample]].mean().item() for sample in range(3)]
    assert flow_losses(prediction, CLEAN, NOISE, mask).tolist() == pytest.approx(each)
    assert flow_loss(prediction, CLEAN, NOISE, mask).item() == pytest.approx(np.mean(each))
    prediction[0, :, :2] = math.nan
    assert flow_losses(prediction, CLEAN, NOISE, mask).tolist() == pytest.approx(each)


def test_nothing_is_learned_at_given_frames() -> None:
    mask = torch.tensor([[False, True, True, True, True]] * 3)
    prediction = drawn(3).requires_grad_()
    (gradient,) = torch.autograd.grad(flow_loss(prediction, CLEAN, NOISE, mask), prediction)
    assert gradient[:, :, 0].abs().max() == 0
    assert gradient[:, :, 1:].abs().min() > 0


def test_a_sample_with_nothing_to_learn_costs_nothing() -> None:
    assert flow_losses(drawn(3), CLEAN, NOISE, torch.zeros(3, 5, dtype=torch.bool)).tolist() == [0, 0, 0]


@given(st.floats(0, 1), st.floats(0.1, 20))
def test_a_shift_multiplies_the_odds_and_can_be_undone(sigma: float, shift: float) -> None:
    shifted = shift_sigma(sigma, shift)
    assert 0 <= shifted <= 1 + 1e-12
    assert shifted * (1 - sigma) == pytest.approx(shift * sigma * (1 - shifted), abs=1e-9)
    assert unshift_sigma(shifted, shift) == pytest.approx(sigma, abs=1e-9)


def test_timesteps_are_thousandths() -> None:
    assert timestep(torch.tensor([0.0, 0.25, 1.0])).tolist() == [0, 250, 1000]


@pytest.mark.parametrize(
    "distribution",
    [SigmaDistribution(), SigmaDistribution("uniform", shift=1), SigmaDistribution("uniform", shift=3), SigmaDistribution("logit_normal", -0.5, 1.7, 1.0)],
)
def test_sigmas_are_drawn_as_said(distribution: SigmaDistribution) -> None:
    sigmas = distribution.sample(4000, torch.Generator().manual_seed(0))
    assert (sigmas.shape, sigmas.dtype) == ((4000,), torch.float32)
    assert 0 <= sigmas.min() <= sigmas.max() <= 1
    unshifted = sigmas.double().numpy() / (distribution.shift - (distribution.shift - 1) * sigmas.double().numpy())
    logits = np.log(unshifted) - np.log1p(-unshifted)
    truth = unshifted if distribution.kind == "uniform" else stats.norm(distribution.mean, distribution.deviation).cdf(logits)
    assert stats.kstest(truth, "uniform").pvalue > 0.01
    assert distribution.quantile(sigmas).numpy() == pytest.approx(truth, abs=1e-4)


@pytest.mark.parametrize(
    "distribution",
    [SigmaDistribution(), SigmaDistribution("uniform", shift=1), SigmaDistribution("uniform", shift=3), SigmaDistribution("logit_normal", -0.5, 1.7, 1.0)],
)
def test_sigmas_at_quantiles_are_those_of_many_draws(distribution: SigmaDistribution) -> None:
    quantiles = torch.tensor([0.125, 0.375, 0.5, 0.625, 0.875])
    found = distribution.at_quantile(quantiles)
    assert distribution.quantile(found).tolist() == pytest.approx(quantiles.tolist(), abs=1e-5)
    drawn_sigmas = distribution.sample(100_000, torch.Generator().manual_seed(3)).double().numpy()
    assert found.numpy() == pytest.approx(np.quantile(drawn_sigmas, quantiles.numpy()), abs=0.01)
    assert distribution.at_quantile(torch.tensor([0.0, 1.0])).tolist() == [0, 1]


def test_a_shift_of_a_logit_normal_is_a_move_of_its_mean() -> None:
    shifted = SigmaDistribution(shift=5.0).sample(100, torch.Generator().manual_seed(1))
    moved = SigmaDistribution(mean=math.log(5.0), shift=1.0).sample(100, torch.Generator().manual_seed(1))
    assert torch.allclose(shifted, moved, atol=1e-6)


def test_the_generator_alone_decides() -> None:
    one, same, other = (SigmaDistribution().sample(8, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("wrong", [{"kind": "cosine"}, {"deviation": 0.0}, {"shift": 0.0}, {"shift": -1.0}, {"mean": math.nan}])
def test_distributions_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="distribution of sigmas"):
        SigmaDistribution(**wrong)  # type: ignore[arg-type]
