"""A loss or a gradient that is not finite ends the training before it reaches the weights, and the samples it came from are named."""

from typing import NoReturn

import torch

from training.errors import TrainingError
from training.learned import Seen
from training.processes import Processes

NAMED = 8
"""Keys that a message lists, at most."""


def refuse(processes: Processes, step: int, epoch: int, seen: Seen, loss: float, norm: float) -> NoReturn:
    """End the training on all ranks; none of its weights has changed in this step.

    Args:
        processes: all of them.
        step, epoch: from 1.
        seen: by this rank.
        loss: mean of all ranks.
        norm: of the gradient.

    Raises:
        TrainingError: always; the message names the samples whose loss is not finite or, when all losses are and only the gradient is not, all of the step.
    """
    here = [key for key, fine in zip(seen.keys, torch.isfinite(torch.cat(seen.losses)).tolist(), strict=True) if not fine]
    culprits, all_keys = (sorted({key for keys in processes.gather(part) for key in keys}) for part in (here, seen.keys))
    what = f"the loss is {loss}" if culprits else f"the gradient's norm is {norm}, though every loss is finite"
    whose = culprits or all_keys
    listed = " ".join(whose[:NAMED]) + (f" and {len(whose) - NAMED} more" if len(whose) > NAMED else "")
    left_out = " ".join(whose) if len(whose) <= NAMED else "KEY…"
    raise TrainingError(
        f"step {step} (epoch {epoch}): {what}; the weights were not touched. It came from {listed}. "
        f"Look at {'it' if len(whose) == 1 else 'them'}, and go on from the last checkpoint with the same command and --data.leave-out {left_out}"
        + ("" if culprits else ", or with a lower --optimizer.rate in a new --out")
    )
