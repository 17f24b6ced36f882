"""From overlapping chunks to one run of frames.

Gloria blends the frames that two neighbouring chunks share with w = [1, .67, .33, 0]: out = w * previous + (1 - w) * next. Where they share five (two prefix
latents at a temporal factor of 4), the first of the five is the previous chunk's alone. For any other overlap the weights fall on a line from 1 to 0 over the
last frames that are shared, four at most. All in float32 on whatever device the frames are on: the same frames give the same bits.
"""

import torch
from torch import Tensor

GLORIA_WEIGHTS = (1.0, 0.67, 0.33, 0.0)
"""What the previous chunk counts in each of the last four frames that it shares with the next (Gloria, CVPR 2026)."""


def hold_back(overlap: int) -> int:
    """How many of a chunk's last frames cannot be shown before the next chunk is there."""
    return min(overlap, len(GLORIA_WEIGHTS))


def previous_weights(overlap: int) -> Tensor:
    """(hold_back(overlap),) what the previous chunk counts in the last frames that two chunks share, float32. One frame alone is the previous chunk's."""
    held = hold_back(overlap)
    return torch.tensor(GLORIA_WEIGHTS) if held == len(GLORIA_WEIGHTS) else torch.linspace(1, 0, held)


def blend(previous: Tensor, following: Tensor) -> Tensor:
    """The frames that two chunks both show.

    Args:
        previous: (3, T, H, W) as the earlier chunk shows them.
        following: (3, T, H, W) as the later one does; T frames are held back of an overlap, see hold_back.

    Returns:
        (3, T, H, W) float32.
    """
    if previous.shape != following.shape:
        raise ValueError(f"frames to blend must have one shape, not {tuple(previous.shape)} and {tuple(following.shape)}")
    weights = previous_weights(previous.shape[1]).to(previous.device)[None, :, None, None]
    return weights * previous.float() + (1 - weights) * following.float()


def join(held: Tensor | None, frames: Tensor, overlap: int, is_last: bool) -> tuple[Tensor, Tensor]:
    """Take in a chunk's frames: those that can be shown now, and those that wait for the next chunk.

    Args:
        held: (3, hold_back(overlap), H, W) what waited since the chunk before; None for the first chunk.
        frames: (3, T, H, W) all frames of this chunk, but those beyond the video's end.
        overlap: frames that neighbouring chunks both show.
        is_last: nothing waits.

    Returns:
        (3, N, H, W) and (3, hold_back(overlap), H, W), of the last chunk (3, 0, H, W); float32.
    """
    frames = frames.float()
    if held is not None:
        frames = torch.cat([blend(held, frames[:, overlap - held.shape[1] : overlap]), frames[:, overlap:]], 1)
    ready = frames.shape[1] - (0 if is_last else hold_back(overlap))
    return frames[:, :ready], frames[:, ready:]


def to_pixels(frames: Tensor) -> Tensor:
    """Frames (3, T, H, W) in -1..1 as pixels (T, H, W, 3), uint8, rounded to the nearest."""
    return ((frames.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).contiguous()
