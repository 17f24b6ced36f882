import io

import numpy as np
import pytest
from PIL import Image

from pipeline.anchor_frames import anchor_jpegs, check_identity
from pipeline.failures import InputError
from pipeline.video.decoders import open_decoder
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written, read_number, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", Kind.B_FRAMES, 30, 160, 96)


def test_pictures_are_the_frames_at_exactly_those_times(video: Written) -> None:
    wanted = [7, 21, 7, 0]
    with open_decoder(str(video.path)) as decoder:
        found = anchor_jpegs(decoder, [video.pts_ns[number] for number in wanted], lambda frame: frame.rgb(), 95)
    assert len(found) == 3
    for number in wanted:
        content = found[video.pts_ns[number]]
        assert isinstance(content, bytes)
        assert read_number(np.asarray(Image.open(io.BytesIO(content)))) == video.numbers[number]


def test_a_time_without_a_frame_is_an_error_of_its_own(video: Written) -> None:
    between = video.pts_ns[3] + 1000
    with open_decoder(str(video.path)) as decoder:
        found = anchor_jpegs(decoder, [between, video.pts_ns[5]], lambda frame: frame.rgb(), 95)
    assert isinstance(found[video.pts_ns[5]], bytes)
    error = found[between]
    assert isinstance(error, InputError)
    assert (error.kind, f"no frame at {between} ns" in str(error)) == (FailureKind.DAMAGED, True)


def test_another_file_under_the_name_is_noticed(video: Written) -> None:
    with open_decoder(str(video.path)) as decoder:
        check_identity(decoder.index, [decoder.index.video_id])
        with pytest.raises(InputError, match=r"not the video that was observed.*not 0123"):
            check_identity(decoder.index, [decoder.index.video_id, "0123"])
