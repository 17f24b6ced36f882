import numpy as np
import pytest

from pipeline.report.crops import picture
from schemas.vocabulary import AnchorKind


@pytest.mark.parametrize(("kind", "size"), [(AnchorKind.GLOBAL, (200, 100)), (AnchorKind.VIEWPOINT, (100, 100))])
def test_pictures_have_the_height_asked_for_and_show_the_region(kind: AnchorKind, size: tuple[int, int]) -> None:
    frame = np.zeros((500, 1000, 3), np.uint8)
    frame[200:300, 400:500] = 255
    shown = picture(frame, kind, [0.4, 0.4, 0.5, 0.6], None, 100)
    assert shown.size == size
    middle = (90, 50) if kind == AnchorKind.GLOBAL else (50, 50)
    assert shown.getpixel(middle) == (255, 255, 255)
    assert shown.getpixel((2, 2)) == (0, 0, 0)
