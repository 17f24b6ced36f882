from collections.abc import Callable
from pathlib import Path

import pytest

from tests.barcode import Kind, Written, write_video


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Written]:
    """The test video of a kind, written once: 60 frames, a keyframe every 12."""
    folder: Path = tmp_path_factory.mktemp("numbered")
    written: dict[Kind, Written] = {}

    def video(kind: Kind) -> Written:
        if kind not in written:
            written[kind] = write_video(folder / f"{kind.value}.mp4", kind, frames=60)
        return written[kind]

    return video
