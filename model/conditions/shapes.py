"""What a codec may be given."""

from torch import Tensor

from model.errors import ModelInputError

RGB = 3


def check_frames(frames: Tensor, temporal_factor: int, spatial_factor: int) -> None:
    """Frames must be (B, 3, 1 + n * temporal_factor, H, W), floating, H and W multiples of spatial_factor.

    Raises:
        ModelInputError: they are not.
    """
    if frames.ndim != 5 or frames.shape[1] != RGB:
        raise ModelInputError(f"frames to encode must be of shape (batch, 3, frames, height, width), not {tuple(frames.shape)}; give RGB video")
    if not frames.is_floating_point():
        raise ModelInputError(f"frames to encode must be floating point in -1..1, not {frames.dtype}; divide 8-bit values by 127.5 and take 1 off")
    count, height, width = frames.shape[2:]
    if count == 0 or (count - 1) % temporal_factor:
        fitting = max(1, count - (count - 1) % temporal_factor)
        raise ModelInputError(f"{count} frames cannot be encoded; give 1 + a multiple of {temporal_factor}, such as {fitting}")
    if min(height, width) == 0 or height % spatial_factor or width % spatial_factor:
        raise ModelInputError(f"frames of {width}x{height} cannot be encoded; scale or crop them to multiples of {spatial_factor} pixels")


def check_latents(latents: Tensor, channels: int) -> None:
    """Latents must be (B, channels, 1 + n, h, w).

    Raises:
        ModelInputError: they are not.
    """
    if latents.ndim != 5 or latents.shape[1] != channels or latents.shape[2] == 0:
        raise ModelInputError(
            f"latents to decode must be of shape (batch, {channels}, frames, height, width), not {tuple(latents.shape)}; "
            "they come from another codec or are of no frames"
        )
