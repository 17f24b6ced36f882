import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from model.errors import ModelInputError
from model.sampler import Sampler, SamplerOptions

NAMES = ["unipc", "euler"]

PUBLISHED: dict[str, Any] = {
    "_class_name": "UniPCMultistepScheduler",
    "_diffusers_version": "0.33.0.dev0",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "disable_corrector": [],
    "dynamic_thresholding_ratio": 0.995,
    "final_sigmas_type": "zero",
    "flow_shift": 3.0,
    "lower_order_final": True,
    "num_train_timesteps": 1000,
    "predict_x0": True,
    "prediction_type": "flow_prediction",
    "rescale_betas_zero_snr": False,
    "sample_max_value": 1.0,
    "solver_order": 2,
    "solver_p": None,
    "solver_type": "bh2",
    "steps_offset": 0,
    "thresholding": False,
    "timestep_spacing": "linspace",
    "trained_betas": None,
    "use_beta_sigmas": False,
    "use_exponential_sigmas": False,
    "use_flow_sigmas": True,
    "use_karras_sigmas": False,
}
"""scheduler_config.json of the public Wan 2.1 text-to-video 1.3B."""

MEAN, DEVIATION = 1.5, 1.2


def sampler(name: str, steps: int, shift: float = 5.0) -> Sampler:
    return Sampler(SamplerOptions(name, steps, shift))  # type: ignore[arg-type]


def gaussian_velocity(x: Tensor, sigma: Tensor) -> Tensor:
    """E[noise - clean | x] where clean is normal with MEAN and DEVIATION: both are jointly normal with x, so their means given x are linear in it."""
    clean_share = (1 - sigma) * DEVIATION**2
    variance = (1 - sigma) ** 2 * DEVIATION**2 + sigma**2
    residual = x - (1 - sigma) * MEAN
    return (sigma / variance) * residual - (MEAN + clean_share / variance * residual)


def run(chunk: Sampler, x: Tensor) -> Tensor:
    for index in range(len(chunk)):
        x = chunk.step(gaussian_velocity(x, chunk.sigmas[index]), index, x)
    return x


def error(name: str, steps: int, noise: Tensor) -> float:
    """Largest distance from where the flow carries each point: its marginals are normal at all times, and in one dimension order is kept."""
    return (run(sampler(name, steps), noise) - (MEAN + DEVIATION * noise)).abs().max().item()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50])
@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 12.0])
def test_sigmas_are_those_of_the_closed_form(name: str, steps: int, shift: float) -> None:
    chunk = sampler(name, steps, shift)
    unshifted = [1 - 0.999 * i / steps for i in range(steps)]
    sigmas = [shift * s / (1 + (shift - 1) * s) for s in unshifted] + [0.0]
    assert chunk.sigmas.tolist() == pytest.approx(sigmas, abs=1.2e-6)
    assert chunk.sigmas[-1] == 0
    assert (len(chunk), chunk.sigmas.dtype, chunk.timesteps.dtype) == (steps, torch.float32, torch.float32)
    told = [1000 * s for s in sigmas[:-1]]
    if name == "euler":
        assert chunk.timesteps.tolist() == pytest.approx(told, abs=1e-3)
    else:
        assert all(0 <= exact - whole < 1.002 for exact, whole in zip(told, chunk.timesteps.tolist(), strict=True))


@pytest.mark.parametrize("steps", [5, 50])
def test_unipc_walks_as_the_public_pipelines_do(steps: int) -> None:
    theirs = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    theirs.set_timesteps(steps)
    ours = sampler("unipc", steps, 3.0)
    assert torch.equal(ours.sigmas, theirs.sigmas)
    assert torch.equal(ours.timesteps, theirs.timesteps.float())
    x = y = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    for index, told in enumerate(theirs.timesteps):
        x = ours.step(torch.tanh(x), index, x)
        y = theirs.step(torch.tanh(y), told, y, return_dict=False)[0]
        assert torch.equal(x, y)


def test_left_to_itself_euler_shifts_twice_and_ours_once() -> None:
    theirs = FlowMatchEulerDiscreteScheduler(shift=5.0)
    theirs.set_timesteps(50)
    last = 0.001 * 5 / (1 + 4 * 0.001)  # the smallest sigma, shifted once
    assert theirs.sigmas[-2].item() == pytest.approx(last * 5 / (1 + 4 * last))
    assert sampler("euler", 50).sigmas[-2].item() == pytest.approx(0.02098 * 5 / (1 + 4 * 0.02098))


@pytest.mark.parametrize("name", NAMES)
def test_along_a_straight_line_one_step_is_exact(name: str) -> None:
    noise, clean = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    for steps in (1, 4):
        chunk, x = sampler(name, steps), noise[None]
        for index in range(steps):
            x = chunk.step((noise - clean)[None], index, x)
        assert torch.allclose(x[0], clean, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "steps", "bound"), [("unipc", 20, 5e-3), ("unipc", 50, 5e-3), ("unipc", 200, 5e-4), ("euler", 50, 6e-2), ("euler", 400, 8e-3)]
)
def test_a_gaussian_is_reached_from_its_exact_velocity(name: str, steps: int, bound: float) -> None:
    noise = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    noise = (noise - noise.mean()) / noise.std()
    found = run(sampler(name, steps), noise)
    assert found.mean().item() == pytest.approx(MEAN, abs=1e-4)
    assert found.std().item() == pytest.approx(DEVIATION, abs=bound)
    assert error(name, steps, noise) < 4 * bound  # the farthest of so many is not quite 4 deviations away


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("unipc", 2)])
def test_errors_shrink_with_the_order_of_the_solver(name: str, order: int) -> None:
    noise = torch.linspace(-2, 2, 21)[None]
    assert error(name, 50, noise) / error(name, 100, noise) == pytest.approx(2**order, rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_chunks_know_nothing_of_each_other(name: str) -> None:
    noise = torch.linspace(-2, 2, 9)[None]
    first = run(sampler(name, 6), noise)
    assert torch.equal(run(sampler(name, 6), noise), first)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_stepped_in_float32(name: str) -> None:
    velocity = torch.randn(2, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
    half, full = sampler(name, 3), sampler(name, 3)
    x = y = torch.linspace(-2, 2, 18).view(2, 9)
    for index in range(3):
        x, y = half.step(velocity, index, x), full.step(velocity.float(), index, y)
    assert x.dtype == torch.float32
    assert torch.equal(x, y)


@pytest.mark.parametrize("name", NAMES)
def test_steps_whose_timesteps_round_alike_are_all_taken(name: str) -> None:
    chunk, noise = sampler(name, 400, 12.0), torch.linspace(-1, 1, 5)[None]
    assert name == "euler" or chunk.timesteps[0] == chunk.timesteps[1]
    assert (run(chunk, noise) - (MEAN + DEVIATION * noise)).abs().max() < 3e-2


@pytest.mark.parametrize("name", NAMES)
def test_a_step_out_of_turn_is_refused(name: str) -> None:
    chunk, x = sampler(name, 2), torch.zeros(1, 3)
    with pytest.raises(ValueError, match="step 1 is out of turn"):
        chunk.step(x, 1, x)
    run(chunk, x)
    for again in (0, 2):
        with pytest.raises(ValueError, match="out of turn"):
            chunk.step(x, again, x)


def test_the_published_configuration_is_read() -> None:
    assert SamplerOptions.from_scheduler_config(PUBLISHED) == SamplerOptions("unipc", 50, 3.0)
    assert SamplerOptions.from_scheduler_config(PUBLISHED, steps=8).steps == 8
    assert SamplerOptions.from_scheduler_config({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 8.0}) == SamplerOptions("euler", 50, 8.0)
    assert SamplerOptions.from_scheduler_config({"_class_name": "FlowMatchEulerDiscreteScheduler"}).shift == 1.0


@pytest.mark.parametrize("options", [SamplerOptions("unipc", 50, 3.0), SamplerOptions("euler", 50, 7.0)])
def test_what_is_written_is_read_by_us_and_by_diffusers(options: SamplerOptions, tmp_path: Path) -> None:
    (tmp_path / "scheduler_config.json").write_text(json.dumps(options.scheduler_config()))
    assert SamplerOptions.from_scheduler_config(json.loads((tmp_path / "scheduler_config.json").read_text())) == options
    theirs = {"unipc": UniPCMultistepScheduler, "euler": FlowMatchEulerDiscreteScheduler}[options.name].from_pretrained(tmp_path)
    theirs.save_pretrained(tmp_path / "again")
    assert SamplerOptions.from_scheduler_config(json.loads((tmp_path / "again" / "scheduler_config.json").read_text())) == options


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "DDIMScheduler"}, "scheduler is DDIMScheduler; only UniPCMultistepScheduler or FlowMatchEulerDiscreteScheduler"),
        ({"prediction_type": "epsilon"}, "prediction_type 'epsilon'; only 'flow_prediction'"),
        ({"use_flow_sigmas": False}, "use_flow_sigmas False"),
        ({"num_train_timesteps": 100}, "num_train_timesteps 100; only 1000"),
        ({"use_karras_sigmas": True}, "use_karras_sigmas True"),
        ({"flow_shift": 0.0}, "shift of a sampler must be a number above 0"),
    ],
)
def test_a_scheduler_that_samples_otherwise_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelInputError, match=message):
        SamplerOptions.from_scheduler_config(PUBLISHED | change)


def test_a_scheduler_without_flow_is_refused_also_where_it_says_nothing() -> None:
    with pytest.raises(ModelInputError, match="prediction_type 'epsilon'"):
        SamplerOptions.from_scheduler_config({"_class_name": "UniPCMultistepScheduler"})
    with pytest.raises(ModelInputError, match="scheduler is None"):
        SamplerOptions.from_scheduler_config({})


@pytest.mark.parametrize("wrong", [{"name": "ddim"}, {"steps": 0}, {"steps": 1001}, {"shift": 0.0}, {"shift": float("nan")}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelInputError):
        SamplerOptions(**wrong)
