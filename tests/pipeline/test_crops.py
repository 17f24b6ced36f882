from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crops import centred_square, region
from schemas.vocabulary import AnchorKind

Square = Callable[[AnchorKind, list[float] | None, list[float] | None, int, int], tuple[int, int, int, int]]


def test_a_face_is_in_the_middle_of_its_square() -> None:
    assert region(AnchorKind.EXPRESSION, [0.4, 0.4, 0.5, 0.6], None, 1000, 500) == (350, 150, 550, 350)


def test_the_square_is_moved_into_the_frame() -> None:
    assert region(AnchorKind.EXPRESSION, [0.0, 0.0, 0.1, 0.2], None, 1000, 500) == (0, 0, 200, 200)


def test_a_centred_square_reaches_beyond_the_frame() -> None:
    assert centred_square(AnchorKind.EXPRESSION, [0.0, 0.0, 0.1, 0.2], None, 1000, 500) == (-50, -50, 150, 150)
    assert centred_square(AnchorKind.EXPRESSION, [0.9, 0.8, 1.0, 1.0], None, 1000, 500) == (850, 350, 1050, 550)


def test_faces_side_by_side_have_one_moved_square_but_two_centred_ones() -> None:
    left, right = [0.05, 0.3, 0.45, 0.5], [0.55, 0.3, 0.95, 0.5]
    assert region(AnchorKind.VIEWPOINT, left, None, 1080, 1920) == region(AnchorKind.VIEWPOINT, right, None, 1080, 1920)
    assert centred_square(AnchorKind.VIEWPOINT, left, None, 1080, 1920) == (-270, 228, 810, 1308)
    assert centred_square(AnchorKind.VIEWPOINT, right, None, 1080, 1920) == (270, 228, 1350, 1308)


@pytest.mark.parametrize("square", [region, centred_square])
def test_a_global_anchor_shows_all(square: Square) -> None:
    assert square(AnchorKind.GLOBAL, [0.4, 0.4, 0.5, 0.6], None, 1000, 500) == (0, 0, 1000, 500)
    assert square(AnchorKind.VIEWPOINT, None, None, 1000, 500) == (0, 0, 1000, 500)


def test_without_a_face_the_upper_end_of_the_body() -> None:
    x0, y0, x1, y1 = region(AnchorKind.VIEWPOINT, None, [0.4, 0.2, 0.6, 1.0], 1000, 1000)
    assert x0 < 400 < 600 < x1
    assert y0 <= 200 < y1 < 1000


def test_the_square_of_a_large_body_begins_a_little_above_it() -> None:
    assert centred_square(AnchorKind.VIEWPOINT, None, [0.1, 0.2, 0.9, 1.0], 1000, 500) == (250, 75, 750, 575)


boxes = st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4)


@given(st.sampled_from(list(AnchorKind)), st.none() | boxes, st.none() | boxes, st.integers(16, 2000), st.integers(16, 2000))
def test_whatever_the_boxes_it_is_a_part_of_the_frame(kind: AnchorKind, face: list[float] | None, body: list[float] | None, width: int, height: int) -> None:
    x0, y0, x1, y1 = region(kind, face, body, width, height)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


faces = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5))


@given(st.sampled_from([AnchorKind.VIEWPOINT, AnchorKind.EXPRESSION]), faces, st.integers(16, 2000), st.integers(16, 2000))
def test_a_face_anywhere_in_the_frame_is_in_the_middle_of_its_centred_square(
    kind: AnchorKind, face: tuple[float, float, float, float], width: int, height: int
) -> None:
    x, y, half_width, half_height = face
    x0, y0, x1, y1 = centred_square(kind, [x - half_width, y - half_height, x + half_width, y + half_height], None, width, height)
    assert abs((x0 + x1) / 2 - x * width) <= 1
    assert abs((y0 + y1) / 2 - y * height) <= 1


@given(st.sampled_from(list(AnchorKind)), st.none() | boxes, st.none() | boxes, st.integers(16, 2000), st.integers(16, 2000))
def test_whatever_the_boxes_a_centred_square_shows_some_of_the_frame(
    kind: AnchorKind, face: list[float] | None, body: list[float] | None, width: int, height: int
) -> None:
    x0, y0, x1, y1 = centred_square(kind, face, body, width, height)
    assert 0 < x1 - x0 <= width
    assert 0 < y1 - y0 <= height
    assert -(x1 - x0) < x0 < width
    assert -(y1 - y0) < y0 < height
    moved = region(kind, face, body, width, height)
    assert (moved[2] - moved[0], moved[3] - moved[1]) == (x1 - x0, y1 - y0)
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        assert moved == (x0, y0, x1, y1)
