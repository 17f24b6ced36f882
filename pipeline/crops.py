"""Which part of a frame shows a person's face or a view of it: for pictures that people look at and for those that a judge is sent."""

from collections.abc import Sequence

from schemas.vocabulary import AnchorKind

Box = Sequence[float]
Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels."""
AROUND_FACE = {AnchorKind.VIEWPOINT: 3.2, AnchorKind.EXPRESSION: 2.0}
"""Side of the square to show, as a multiple of the face's larger side."""


def region(kind: AnchorKind, face_box: Box | None, body_box: Box | None, width: int, height: int) -> Region:
    """What to show people of a frame: x0, y0, x1, y1 in pixels, within the frame.

    The whole frame for a global anchor (who wants its face alone asks for that of a viewpoint); a square around the face for the
    others, around the upper end of the body where there is no face. Squares are no larger than the frame's smaller side, and moved
    into the frame: those of two people may be the same.

    Args:
        kind: of the anchor.
        face_box: x0, y0, x1, y1 as fractions of the frame; may reach beyond it.
        body_box: likewise.
        width: of the frame, pixels.
        height: of the frame, pixels.
    """
    x0, y0, x1, y1 = centred_square(kind, face_box, body_box, width, height)
    left = min(max(0, x0), max(0, width - (x1 - x0)))
    top = min(max(0, y0), max(0, height - (y1 - y0)))
    return left, top, min(width, left + x1 - x0), min(height, top + y1 - y0)


def centred_square(kind: AnchorKind, face_box: Box | None, body_box: Box | None, width: int, height: int) -> Region:
    """What to show a judge, who is to look at the person in the middle: the square of region, but left where the person is.

    It may reach beyond the frame, so x0 and y0 may be negative, x1 and y1 larger than the frame. Its side is no larger than the frame's
    smaller side nonetheless, because in what is larger the face would be smaller. Only where the middle of the face itself is beyond
    the frame, the square is around the nearest point of the frame: it always shows some of it.

    Args:
        kind: of the anchor.
        face_box: x0, y0, x1, y1 as fractions of the frame; may reach beyond it.
        body_box: likewise.
        width: of the frame, pixels.
        height: of the frame, pixels.
    """
    box = face_box if face_box is not None else body_box
    if kind == AnchorKind.GLOBAL or box is None:
        return 0, 0, width, height
    x0, y0, x1, y1 = (float(value) * side for value, side in zip(box, (width, height, width, height), strict=True))
    wanted = AROUND_FACE[kind] * max(x1 - x0, y1 - y0) if face_box is not None else max(x1 - x0, 0.6 * (y1 - y0)) * 1.1
    limited = min(wanted, width, height)
    middle = (y0 + y1) / 2 if face_box is not None else y0 - 0.05 * limited + limited / 2
    side = max(8, round(limited))
    left = round(min(max(0, (x0 + x1) / 2), width) - side / 2)
    top = round(min(max(0, middle), height) - side / 2)
    return left, top, left + side, top + side
