import io
import json
from pathlib import Path

import av
import pytest
import soundfile

from schemas.sample import Sample, SampleError, build_sample
from tests.barcode import Kind, write_video
from tests.pipeline.pack.made_samples import made_sample
from tests.training.data.made_tars import movie, pitch, sound_file
from training.data.foreign import Clip, content_hash, foreign_sample, is_foreign, probe

MOVIE = movie()


def sample_of(members: dict[str, bytes]) -> Sample:
    return foreign_sample("k", members, probe("k", members), content_hash(members))


def test_what_is_ours_and_what_is_not() -> None:
    own = build_sample(made_sample("a"))
    assert not is_foreign(own)
    assert not is_foreign(own | {"json": own["json"][:50]}), "damaged, but ours"
    assert is_foreign({"mp4": MOVIE, "txt": b"caption"})
    assert is_foreign({"mp4": MOVIE, "json": b'{"caption": "x"}'})
    assert is_foreign({"mp4": MOVIE, "json": b"[1]"})


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
def test_a_video_is_looked_into(container: str) -> None:
    suffix = {"matroska": "mkv"}.get(container, container)
    members = {suffix: movie(9, 96, 64, 12, container=container)}
    assert probe("k", members) == Clip(9, 12.0, 96, 64, audio=False)
    with av.open(io.BytesIO(members[suffix]), "r") as file:
        assert sum(1 for _ in file.decode(video=0)) == 9


def test_sound_beside_the_video_or_in_it() -> None:
    assert probe("k", {"mp4": movie(sound_hertz=440)}).audio
    assert probe("k", {"mp4": MOVIE, "wav": b"any"}).audio
    assert not probe("k", {"mp4": MOVIE}).audio


@pytest.mark.parametrize(("said", "caption"), [({"caption": "a"}, "a"), ({"text": "b"}, "b"), ({"caption": "a", "text": "b"}, "a"), ({"url": "x"}, None)])
def test_the_caption_in_json(said: dict[str, str], caption: str | None) -> None:
    assert sample_of({"mp4": MOVIE, "json": json.dumps(said).encode()}).metadata.caption == caption


def test_the_caption_in_text_goes_first() -> None:
    assert sample_of({"mp4": MOVIE, "txt": " Zoë walks \n".encode(), "json": b'{"caption": "x"}'}).metadata.caption == "Zoë walks"
    assert sample_of({"mp4": MOVIE}).metadata.caption is None
    with pytest.raises(SampleError, match=r"k: k\.txt is not UTF-8"):
        sample_of({"mp4": MOVIE, "txt": b"\xff\xfe"})


def test_a_foreign_sample_is_one_of_ours_without_anchors() -> None:
    members = {"mp4": MOVIE, "json": b'{"character_id": "zoe", "video_id": 17}'}
    sample = sample_of(members)
    metadata = sample.metadata
    assert (metadata.clip_id, metadata.character_id, metadata.video_id) == ("k", "zoe", "17")
    assert (metadata.frame_count, metadata.frame_rate, metadata.width, metadata.height, metadata.end_ns) == (7, 8.0, 64, 48, 875_000_000)
    assert (metadata.pixels, metadata.latents, metadata.audio, metadata.anchors) == (True, False, False, ())
    assert (sample.video, sample.audio, sample.anchors, sample.latents) == (MOVIE, None, (), None)
    build_sample(sample)
    assert sample_of({"mp4": MOVIE}).metadata.character_id == "k"


@pytest.mark.parametrize(
    "members",
    [
        {"mp4": MOVIE, "flac": sound_file(440, 7 / 8, 16_000, "FLAC")},
        {"mp4": MOVIE, "wav": sound_file(440, 2.0, 44_100, "WAV", channels=2)},
        {"mp4": MOVIE, "ogg": sound_file(440, 7 / 8, 22_050, "OGG")},
        {"mp4": movie(sound_hertz=440)},
    ],
    ids=["ours", "longer", "other rate", "in the video"],
)
def test_sound_becomes_that_of_ours(members: dict[str, bytes]) -> None:
    sample = sample_of(members)
    assert sample.audio is not None
    samples, rate = soundfile.read(io.BytesIO(sample.audio))
    assert (samples.shape, rate) == ((14_000,), 16_000)
    assert pitch(samples, rate) == pytest.approx(440, abs=2)
    build_sample(sample)


def test_short_sound_is_followed_by_silence() -> None:
    sample = sample_of({"mp4": MOVIE, "wav": sound_file(440, 0.5, 16_000, "WAV")})
    assert sample.audio is not None
    samples, _ = soundfile.read(io.BytesIO(sample.audio))
    assert len(samples) == 14_000
    assert abs(samples[:8_000]).max() > 0.4
    assert not samples[8_000:].any()


def test_damage_is_named() -> None:
    with pytest.raises(SampleError, match=r"k: has no video \(mp4, mov, mkv, webm\); its members are txt"):
        probe("k", {"txt": b"caption"})
    with pytest.raises(SampleError, match=r"k: k\.mp4 cannot be decoded"):
        probe("k", {"mp4": MOVIE[:300]})
    with pytest.raises(SampleError, match=r"k: k\.mp4 has no video stream"):
        probe("k", {"mp4": sound_file(440, 1, 16_000, "WAV")})
    with pytest.raises(SampleError, match=r"k: k\.json is not JSON"):
        foreign_sample("k", (members := {"mp4": MOVIE, "json": b"{"}), Clip(7, 8.0, 64, 48, False), content_hash(members))
    with pytest.raises(SampleError, match=r"k: the sound of k\.wav cannot be decoded"):
        sample_of({"mp4": MOVIE, "wav": b"noise"})
    with pytest.raises(SampleError, match="its bytes are not those that were indexed"):
        foreign_sample("k", {"mp4": MOVIE}, Clip(7, 8.0, 64, 48, False), "another")


def test_a_turned_video_has_the_size_that_is_shown(tmp_path: Path) -> None:
    write_video(tmp_path / "turned.mp4", Kind.ROTATED)
    clip = probe("k", {"mp4": (tmp_path / "turned.mp4").read_bytes()})
    with av.open(str(tmp_path / "turned.mp4")) as file:
        stored = next(file.decode(video=0))
    assert (clip.width, clip.height) == (stored.height, stored.width)
    assert clip.width != clip.height
