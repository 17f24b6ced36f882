"""What codecs refuse."""

import pytest
import torch

from model.conditions.shapes import check_frames, check_latents
from model.errors import ModelInputError


@pytest.mark.parametrize(("count", "factor"), [(1, 4), (5, 4), (81, 4), (3, 2), (1, 1), (7, 1)])
def test_good_frames_pass(count: int, factor: int) -> None:
    check_frames(torch.zeros(1, 3, count, 8, 16), factor, 8)


@pytest.mark.parametrize(("count", "fitting"), [(0, 1), (2, 1), (4, 1), (6, 5), (80, 77)])
def test_another_number_of_frames_is_told_with_one_that_fits(count: int, fitting: int) -> None:
    with pytest.raises(ModelInputError, match=rf"^{count} frames cannot be encoded; give 1 \+ a multiple of 4, such as {fitting}$"):
        check_frames(torch.zeros(1, 3, count, 8, 8), 4, 8)


@pytest.mark.parametrize(("height", "width"), [(0, 8), (8, 0), (7, 8), (8, 12)])
def test_sizes_that_do_not_divide_are_told(height: int, width: int) -> None:
    with pytest.raises(ModelInputError, match=f"frames of {width}x{height} cannot be encoded"):
        check_frames(torch.zeros(1, 3, 1, height, width), 4, 8)


def test_latents_of_another_codec_are_told() -> None:
    check_latents(torch.zeros(1, 16, 2, 3, 3), 16)
    for shape in ((1, 48, 2, 3, 3), (16, 2, 3, 3), (1, 16, 0, 3, 3)):
        with pytest.raises(ModelInputError, match="latents to decode must be of shape"):
            check_latents(torch.zeros(shape), 16)
