from hypothesis import given
from hypothesis import strategies as st

from pipeline.crops import region
from schemas.vocabulary import AnchorKind


def test_a_face_is_in_the_middle_of_its_square() -> None:
    assert region(AnchorKind.EXPRESSION, [0.4, 0.4, 0.5, 0.6], None, 1000, 500) == (350, 150, 550, 350)


def test_the_square_is_moved_into_the_frame() -> None:
    assert region(AnchorKind.EXPRESSION, [0.0, 0.0, 0.1, 0.2], None, 1000, 500) == (0, 0, 200, 200)


def test_a_global_anchor_shows_all() -> None:
    assert region(AnchorKind.GLOBAL, [0.4, 0.4, 0.5, 0.6], None, 1000, 500) == (0, 0, 1000, 500)


def test_without_a_face_the_upper_end_of_the_body() -> None:
    x0, y0, x1, y1 = region(AnchorKind.VIEWPOINT, None, [0.4, 0.2, 0.6, 1.0], 1000, 1000)
    assert x0 < 400 < 600 < x1
    assert y0 <= 200 < y1 < 1000


boxes = st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4)


@given(st.sampled_from(list(AnchorKind)), st.none() | boxes, st.none() | boxes, st.integers(16, 2000), st.integers(16, 2000))
def test_whatever_the_boxes_it_is_a_part_of_the_frame(kind: AnchorKind, face: list[float] | None, body: list[float] | None, width: int, height: int) -> None:
    x0, y0, x1, y1 = region(kind, face, body, width, height)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
