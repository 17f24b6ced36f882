"""From noise to latents: the schedulers that Wan is sampled with, one fresh one for every chunk.

The closed form of the schedule, for both: sigma_i = shift_sigma(1 - 0.999 * i / steps, shift) for step i, and 0 after the last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from model.errors import ModelInputError
from model.flow import TIMESTEPS

SCHEDULERS: dict[str, Any] = {"unipc": UniPCMultistepScheduler, "euler": FlowMatchEulerDiscreteScheduler}

_SHIFT_KEYS = {"unipc": "flow_shift", "euler": "shift"}

_FIXED: dict[str, dict[str, object]] = {
    "unipc": {
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        "num_train_timesteps": TIMESTEPS,
        "solver_order": 2,
        "solver_type": "bh2",
        "predict_x0": True,
        "lower_order_final": True,
        "final_sigmas_type": "zero",
        "thresholding": False,
        "disable_corrector": [],
        "solver_p": None,
        "use_dynamic_shifting": False,
        "shift_terminal": None,
        "use_karras_sigmas": False,
        "use_exponential_sigmas": False,
        "use_beta_sigmas": False,
    },
    "euler": {
        "num_train_timesteps": TIMESTEPS,
        "use_dynamic_shifting": False,
        "shift_terminal": None,
        "invert_sigmas": False,
        "stochastic_sampling": False,
        "use_karras_sigmas": False,
        "use_exponential_sigmas": False,
        "use_beta_sigmas": False,
    },
}
"""What of a scheduler's configuration changes the samples, and the only value of it that is sampled with: that of the public Wan weights."""


@dataclass(frozen=True, slots=True)
class SamplerOptions:
    """How a chunk is sampled.

    Attributes:
        name: unipc (second order, what the public Wan weights come with) or euler (first order: the step that the flow was defined by).
        steps: of the network per chunk, twice as many forward passes with guidance.
        shift: how much of the schedule is spent near noise, see ``model.flow.shift_sigma``; Wan: 3 for 480p, 5 for 720p.

    Raises:
        ModelInputError: a name that there is not, or numbers that cannot be.
    """

    name: Literal["unipc", "euler"] = "unipc"
    steps: int = 50
    shift: float = 5.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.name not in SCHEDULERS:
            raise ModelInputError(f"there is no sampler {self.name!r}; take one of {', '.join(SCHEDULERS)}")
        if not 1 <= self.steps <= TIMESTEPS:
            raise ModelInputError(f"a chunk is sampled in 1 to {TIMESTEPS} steps, not {self.steps}")
        if not 0 < self.shift < float("inf"):
            raise ModelInputError(f"the shift of a sampler must be a number above 0, not {self.shift}")

    @classmethod
    def from_scheduler_config(cls, config: Mapping[str, Any], steps: int = 50) -> Self:
        """What a checkpoint's ``scheduler/scheduler_config.json`` asks for.

        Raises:
            ModelInputError: it asks for something else than flow matching as Wan does it; better no video than one sampled in a way its weights do not know.
        """
        name = next((name for name, scheduler in SCHEDULERS.items() if scheduler.__name__ == config.get("_class_name")), None)
        if name is None:
            known = " or ".join(scheduler.__name__ for scheduler in SCHEDULERS.values())
            raise ModelInputError(f"the checkpoint's scheduler is {config.get('_class_name')}; only {known} can be sampled with")
        defaults = dict(SCHEDULERS[name]().config)
        for key, value in _FIXED[name].items():
            if (found := config.get(key, defaults[key])) != value:
                raise ModelInputError(f"the checkpoint's scheduler has {key} {found!r}; only {value!r} can be sampled with")
        shift = config.get(_SHIFT_KEYS[name], defaults[_SHIFT_KEYS[name]])
        return cls(name, steps, float(shift))  # type: ignore[arg-type]  # a key of SCHEDULERS

    def scheduler_config(self) -> dict[str, Any]:
        """What ``from_scheduler_config`` reads, for a checkpoint's folder; diffusers' own pipelines read it too."""
        return {"_class_name": SCHEDULERS[self.name].__name__, **_FIXED[self.name], _SHIFT_KEYS[self.name]: self.shift}


class Sampler:
    """The steps of one chunk, in float32.

    A solver of second order remembers the step before, so a chunk has a Sampler of its own and its steps are taken in order.

    Attributes:
        timesteps: (steps,) float32, what the network is told at each step. UniPC's are whole numbers, rounded down, as in diffusers' own Wan pipelines.
        sigmas: (steps + 1,) float32; the last is 0. UniPC's first is 1 - 1e-6, for it takes logarithms.
    """

    def __init__(self, options: SamplerOptions) -> None:
        config = {key: value for key, value in options.scheduler_config().items() if key != "_class_name"}
        self._scheduler = SCHEDULERS[options.name](**config)
        # Sigmas before the shift, always said: left to itself, FlowMatchEuler starts from ends that are shifted already, and shifts them again.
        self._scheduler.set_timesteps(sigmas=np.linspace(1, 1 / TIMESTEPS, options.steps + 1)[:-1])
        # Both look for the index of the first timestep by its value otherwise, and take the second of two that are rounded to the same.
        self._scheduler.set_begin_index(0)
        self.timesteps: Tensor = self._scheduler.timesteps.float()
        self.sigmas: Tensor = self._scheduler.sigmas
        self._next = 0

    def __len__(self) -> int:
        return len(self.timesteps)

    def step(self, velocity: Tensor, index: int, latents: Tensor) -> Tensor:
        """Latents one step nearer to data, float32.

        Args:
            velocity: the network's, at ``latents`` and ``timesteps[index]``; of any floating type.
            index: of the step, from 0, in order.
            latents: those that the step before returned.

        Raises:
            ValueError: a step out of turn.
        """
        if index != self._next or index >= len(self):
            raise ValueError(f"step {index} is out of turn: {self._next} of {len(self)} were taken; a chunk needs a sampler of its own")
        self._next += 1
        stepped: Tensor = self._scheduler.step(velocity.float(), self._scheduler.timesteps[index], latents.float(), return_dict=False)[0]
        return stepped
