"""Clips of generated videos, whose frames carry their numbers and whose sound carries its time."""

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.failures import InputError
from pipeline.pack.clips import pack_clips
from pipeline.pack.encode import ClipEncoder
from pipeline.pack.options import PackOptions
from pipeline.video.decoders import open_decoder
from pipeline.video.index import video_id
from pipeline.video.pyav_decoder import PyAVDecoder
from schemas.sample import Sample, build_sample, parse_sample
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written, read_number, read_time, write_video
from tests.pipeline.pack.rows import SECOND, anchor_row, clip_row, decode_picture, decode_video, planned, shown_numbers

FAST = PackOptions(preset="ultrafast")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_video(tmp_path_factory.mktemp("video") / "video.mp4", Kind.B_FRAMES, frames=150, width=328, height=250, audio=True)


def make(video: Written, clips: list[dict[str, Any]], anchors: list[dict[str, Any]], options: PackOptions = FAST) -> dict[str, Sample | InputError]:
    clips = [clip | {"video_id": video_id(str(video.path))} for clip in clips]
    return {task.key: result for task, result in pack_clips(str(video.path), planned(clips, anchors, options), options)}


def samples_of(results: dict[str, Sample | InputError]) -> dict[str, Sample]:
    assert not [result for result in results.values() if isinstance(result, InputError)]
    return {key: result for key, result in results.items() if isinstance(result, Sample)}


def test_overlapping_clips_show_the_nearest_frames_of_their_spans(video: Written) -> None:
    clips = [
        clip_row("a", 0, 17),
        clip_row("b", 123_456_789, 33),
        clip_row("c", 4 * SECOND, 21),
        clip_row("d", 500_000_000, 40, 50.0),
        clip_row("e", SECOND, 9, 12.5),
    ]
    made = samples_of(make(video, clips, []))
    assert set(made) == set("abcde")
    for clip in clips:
        assert numbers_in(made[clip["clip_id"]]) == wanted_numbers(video, clip)


def test_a_slow_source_does_not_bring_in_the_next_shot(tmp_path: Path) -> None:
    """At 5 frames per second the last instant of a clip that ends with its shot is nearer to the next shot's first frame than to its own last."""
    video = write_video(tmp_path / "video.mp4", Kind.SLOW, frames=75)
    cut = 50
    assert video.pts_ns[cut] == 10 * SECOND
    before = clip_row("before", 10 * SECOND - 33 * SECOND // 16, 33)
    after = clip_row("after", 10 * SECOND, 33)
    made = samples_of(make(video, [before, after], []))
    shown = numbers_in(made["before"])
    assert video.number_at(10 * SECOND - SECOND // 16) == cut, "otherwise this would test nothing"
    assert (sorted(set(shown)), shown[-1]) == (list(range(40, cut)), cut - 1)
    assert sorted(set(numbers_in(made["after"]))) == list(range(cut, 61))


@pytest.mark.parametrize("kind", [Kind.SLOW, Kind.VARIABLE])
def test_clips_that_end_with_any_frame_stay_within_it(tmp_path: Path, kind: Kind) -> None:
    video = write_video(tmp_path / "video.mp4", kind, frames=50)
    spans = {f"c{cut}": (video.pts_ns[cut - 1] + 1_000_000 * (cut % 2), video.pts_ns[cut]) for cut in range(20, 36)}
    clips = [clip_row(name, start_ns, 5, 4 * SECOND / (end_ns - start_ns), end_ns=end_ns) for name, (start_ns, end_ns) in spans.items()]
    made = samples_of(make(video, clips, []))
    assert {name: set(numbers_in(sample)) for name, sample in made.items()} == {name: {int(name[1:]) - 1} for name in spans}


def numbers_in(sample: Sample) -> list[int]:
    return [read_number(frame) for frame in decode_video(sample.video)]


def wanted_numbers(video: Written, clip: dict[str, Any]) -> list[int]:
    return shown_numbers(video, clip["start_ns"], clip["end_ns"], clip["frame_count"], clip["frame_rate"])


def test_anchors_are_the_frames_at_their_times_at_the_clips_size(video: Written) -> None:
    times = [video.pts_ns[number] for number in (140, 3, 60, 61)]
    anchors = [
        anchor_row(f"a{number}", time, "viewpoint", side) for number, (time, side) in enumerate(zip(times, ("front", "left", "right", "back"), strict=True))
    ]
    (sample,) = samples_of(make(video, [clip_row("a", 2 * SECOND, 17)], anchors)).values()
    metadata = sample.metadata
    assert (metadata.width, metadata.height) == (320, 240)
    assert [anchor.pts_ns for anchor in metadata.anchors] == times
    assert [anchor.inside_clip for anchor in metadata.anchors] == [False, False, True, True]
    assert [read_number(decode_picture(picture)) for picture in sample.anchors] == [140, 3, 60, 61]
    assert {decode_picture(picture).shape for picture in sample.anchors} == {(240, 320, 3)}


def test_boxes_are_of_the_cropped_picture(video: Written) -> None:
    anchors = [anchor_row("f", 0, face_box=[0.0, 0.5, 1.0, 1.0]), anchor_row("b", 40_000_000, face_box=None, body_box=[0.25, 0.25, 0.75, 0.75])]
    anchors += [anchor_row("n", 0, "viewpoint", "back", face_box=None)]
    (sample,) = samples_of(make(video, [clip_row("a", 0)], anchors)).values()
    face, body, none = (anchor.box for anchor in sample.metadata.anchors)
    assert face == pytest.approx((0, 0.5, 1, 1 + 2 / 240), abs=0.012)  # 328x250 shrinks to 320x244: two rows are cropped at each end
    assert body == pytest.approx((0.25, 0.25, 0.75, 0.75), abs=0.012)
    assert none is None


def test_sound_is_that_of_the_span(video: Written) -> None:
    (sample,) = samples_of(make(video, [clip_row("a", 1_234_567_890, 33)], [])).values()
    assert sample.audio is not None
    samples, rate = soundfile.read(io.BytesIO(sample.audio), dtype="float32")
    assert (len(samples), rate) == (33_000, 16_000)
    for middle in (0.3, 1.0, 1.8):
        piece = samples[round(middle * rate) - 2400 : round(middle * rate) + 2401]
        assert read_time(piece, rate) == pytest.approx(1.23456789 + middle, abs=1e-3)


def test_audio_can_be_left_out(video: Written) -> None:
    (sample,) = samples_of(make(video, [clip_row("a", 0)], [], PackOptions(preset="ultrafast", audio=False))).values()
    assert sample.audio is None
    assert not sample.metadata.audio


def test_samples_keep_the_contract_and_are_the_same_each_time(video: Written) -> None:
    clips, anchors = [clip_row("a", 0, 17), clip_row("b", SECOND, 17)], [anchor_row("x", 2 * SECOND)]
    first, second = (samples_of(make(video, clips, anchors)) for _ in range(2))
    assert first == second
    for key, sample in first.items():
        assert parse_sample(key, build_sample(sample)) == sample
    assert first["a"] == samples_of(make(video, clips[:1], anchors))["a"], "a clip must not depend on its neighbours"


def test_the_picture_shown_is_the_sources(tmp_path: Path) -> None:
    shade = np.linspace(20, 235, 320).astype(np.uint8)
    picture = np.stack([np.tile(shade, (240, 1)), np.full((240, 320), 90, np.uint8), np.tile(shade[::-1], (240, 1))], axis=2)
    video = write_video(tmp_path / "video.mp4", Kind.CONSTANT, frames=20, picture=lambda _: picture)
    (sample,) = samples_of(make(video, [clip_row("a", 0)], [anchor_row("x", 0)])).values()
    with open_decoder(str(video.path)) as decoder:
        source = next(decoder.read([0])).rgb().astype(int)
    assert np.abs(decode_video(sample.video)[0][:150].astype(int) - source[:150]).mean() < 2
    assert np.abs(decode_picture(sample.anchors[0])[:150].astype(int) - source[:150]).mean() < 2


def test_a_replaced_video_is_noticed(video: Written) -> None:
    tasks = planned([clip_row("a", 0)], [], FAST)
    ((_, result),) = pack_clips(str(video.path), tasks, FAST)
    assert isinstance(result, InputError)
    assert result.kind is FailureKind.NOT_FOUND
    assert "is not the video that was observed" in str(result)


def test_a_missing_video_fails_each_clip(tmp_path: Path) -> None:
    tasks = planned([clip_row("a", 0), clip_row("b", 0)], [], FAST)
    results = list(pack_clips(str(tmp_path / "gone.mp4"), tasks, FAST))
    assert [(task.key, getattr(result, "kind", None)) for task, result in results] == [("a", FailureKind.NOT_FOUND), ("b", FailureKind.NOT_FOUND)]


def test_damage_costs_only_the_clips_that_show_it(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", Kind.CONSTANT, frames=200, keyframe_interval=10)
    content = bytearray(video.path.read_bytes())
    data = content.index(b"mdat")
    middle = data + (len(content) - data) // 2
    content[middle : middle + 300] = bytes(300)
    video.path.write_bytes(content)
    clips = [clip_row(f"c{n}", n * 7 * SECOND // 7, 9) for n in range(7)]
    results = make(video, clips, [])
    failed = {key for key, result in results.items() if isinstance(result, InputError)}
    assert set(results) == {clip["clip_id"] for clip in clips}
    assert 1 <= len(failed) <= 2
    assert all(result.kind is FailureKind.DAMAGED for result in results.values() if isinstance(result, InputError))
    for clip in clips:
        result = results[clip["clip_id"]]
        if isinstance(result, Sample):
            assert numbers_in(result) == wanted_numbers(video, clip)


def test_an_anchor_that_cannot_be_read_fails_the_clips_that_need_it(video: Written) -> None:
    clips = [clip_row("a", 0), clip_row("b", 0, character_id="other")]
    results = make(video, clips, [anchor_row("x", 1_000_001)])
    assert isinstance(results["b"], Sample)
    assert isinstance(results["a"], InputError)
    assert "has no frame at 1000001 ns" in str(results["a"])


def test_nothing_is_left_open_when_it_is_given_up(video: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clips = [clip_row("a", 0, 5, video_id=video_id(str(video.path))), clip_row("b", 0, 50, video_id=video_id(str(video.path)))]
    results = pack_clips(str(video.path), planned(clips, [], FAST), FAST)
    next(results)
    assert len(list(tmp_path.iterdir())) == 1
    results.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_clips_without_overlap_need_one_encoder_at_a_time_and_one_pass(video: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    open_now, most, passes = set[int](), [0], [0]
    original_init, original_close, original_read = ClipEncoder.__init__, ClipEncoder.close, PyAVDecoder.read

    def init(self: ClipEncoder, *arguments: Any) -> None:
        original_init(self, *arguments)
        open_now.add(id(self))
        most[0] = max(most[0], len(open_now))

    def close(self: ClipEncoder) -> None:
        original_close(self)
        open_now.discard(id(self))

    def read(self: PyAVDecoder, instants: Sequence[int]) -> Iterator[Any]:
        passes[0] += 1
        assert list(instants) == sorted(set(instants))
        return original_read(self, instants)

    monkeypatch.setattr(ClipEncoder, "__init__", init)
    monkeypatch.setattr(ClipEncoder, "close", close)
    monkeypatch.setattr(PyAVDecoder, "read", read)
    samples_of(make(video, [clip_row(f"c{n}", n * SECOND, 15) for n in range(5)], [anchor_row("x", 0)]))
    assert (most[0], len(open_now), passes[0]) == (1, 0, 2)  # a pass for the anchors, a pass for all clips
