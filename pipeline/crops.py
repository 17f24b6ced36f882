"""Which part of a frame shows a person's face or a view of it: for pictures that people look at and for those that a judge is sent."""

from collections.abc import Sequence

from schemas.vocabulary import AnchorKind

Box = Sequence[float]
AROUND_FACE = {AnchorKind.VIEWPOINT: 3.2, AnchorKind.EXPRESSION: 2.0}
"""Side of the square to show, as a multiple of the face's larger side."""


def region(kind: AnchorKind, face_box: Box | None, body_box: Box | None, width: int, height: int) -> tuple[int, int, int, int]:
    """What to show of a frame: x0, y0, x1, y1 in pixels, within the frame.

    The whole frame for a global anchor (who wants its face alone asks for that of a viewpoint); a square around the face for the
    others, around the upper end of the body where there is no face. Squares are moved into the frame, and made smaller when they are
    larger than it.

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
    if face_box is not None:
        side, middle = AROUND_FACE[kind] * max(x1 - x0, y1 - y0), (y0 + y1) / 2
    else:
        side = max(x1 - x0, 0.6 * (y1 - y0)) * 1.1
        middle = y0 - 0.05 * side + side / 2
    side = max(8, round(min(side, width, height)))
    left = min(max(0, round((x0 + x1) / 2 - side / 2)), max(0, width - side))
    top = min(max(0, round(middle - side / 2)), max(0, height - side))
    return left, top, min(width, left + side), min(height, top + side)
