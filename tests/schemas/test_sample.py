import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sample import (
    SAMPLE_VERSION,
    Sample,
    SampleAnchor,
    SampleError,
    SampleMetadata,
    SampleVersionError,
    anchor_file,
    build_sample,
    member_name,
    metadata_from_json,
    metadata_to_json,
    parse_sample,
)
from schemas.vocabulary import AnchorKind, Expression, Viewpoint

ANCHORS = (
    SampleAnchor("anchor-00.jpg", AnchorKind.GLOBAL, None, 1_500, True, (0.1, 0.2, 0.3, 0.4), 0.75),
    SampleAnchor("anchor-01.jpg", AnchorKind.VIEWPOINT, Viewpoint.BACK, 2_000, False, None, None),
    SampleAnchor("anchor-02.jpg", AnchorKind.EXPRESSION, Expression.CONTEMPT, 999, False, (-0.1, 0.0, 1.2, 1.0), 1.0),
)
METADATA = SampleMetadata("clip-1", "video", "shot", "track", "character", 1_000, 2_000, 81, 16.0, 832, 480, "a caption, é", True, ANCHORS, 7, "abc")
SAMPLE = Sample(METADATA, b"video", b"audio", (b"a", b"b", b"c"))


def test_members_come_in_the_documented_order() -> None:
    assert list(build_sample(SAMPLE)) == ["json", "mp4", "flac", "anchor-00.jpg", "anchor-01.jpg", "anchor-02.jpg"]


def test_what_is_built_is_parsed_again() -> None:
    assert parse_sample("clip-1", build_sample(SAMPLE)) == SAMPLE
    silent = replace(SAMPLE, metadata=replace(METADATA, audio=False, caption=None), audio=None)
    assert "flac" not in build_sample(silent)
    assert parse_sample("clip-1", build_sample(silent)) == silent


def test_latents_come_last_and_stand_next_to_the_pixels_or_for_them() -> None:
    beside = replace(SAMPLE, metadata=replace(METADATA, latents=True), latents=b"latents")
    members = build_sample(beside)
    assert list(members) == ["json", "mp4", "flac", "anchor-00.jpg", "anchor-01.jpg", "anchor-02.jpg", "latents.safetensors"]
    assert parse_sample("clip-1", members) == beside
    instead = Sample(replace(METADATA, pixels=False, latents=True), None, None, (), b"latents")
    members = build_sample(instead)
    assert list(members) == ["json", "latents.safetensors"]
    parsed = parse_sample("clip-1", members)
    assert parsed == instead
    assert (parsed.metadata.audio, parsed.metadata.anchors) == (True, ANCHORS), "what the latents are of is told as ever"
    with pytest.raises(SampleError, match=r"clip-1\.latents\.safetensors is damaged"):
        parse_sample("clip-1", members | {"latents.safetensors": b"Latents"})


def test_what_is_said_of_pixels_and_latents_must_be_there_and_nothing_else() -> None:
    beside = replace(SAMPLE, metadata=replace(METADATA, latents=True), latents=b"latents")
    with pytest.raises(SampleError, match=r"lacks clip-1\.latents\.safetensors"):
        build_sample(replace(beside, latents=None))
    with pytest.raises(SampleError, match=r"has a clip-1\.latents\.safetensors, but its metadata says that there are no latents"):
        build_sample(replace(beside, metadata=METADATA))
    with pytest.raises(SampleError, match="has neither pixels nor latents"):
        build_sample(Sample(replace(METADATA, pixels=False), None, None, ()))
    without = replace(METADATA, pixels=False, latents=True)
    with pytest.raises(SampleError, match="3 anchor pictures for 0 anchors"):
        build_sample(replace(beside, metadata=without))
    for sample in (Sample(without, b"video", None, (), b"latents"), Sample(without, None, b"audio", (), b"latents")):
        with pytest.raises(SampleError, match="but its metadata says that there are no pixels"):
            build_sample(sample)


def test_samples_of_version_1_are_read() -> None:
    members = build_sample(SAMPLE)
    content = json.loads(members["json"])
    written = {name: value for name, value in content.items() if name not in ("pixels", "latents")} | {"version": 1}
    assert parse_sample("clip-1", members | {"json": json.dumps(written).encode()}) == SAMPLE
    with pytest.raises(SampleError, match="lacks 'pixels'"):
        metadata_from_json("clip-1", json.dumps(written | {"version": 2}).encode())


def test_json_says_words_and_version() -> None:
    content = json.loads(build_sample(SAMPLE)["json"])
    assert (content["schema"], content["version"], content["clip_id"]) == ("gloria.sample", 2, "clip-1")
    assert content["anchors"][1] | {"score": 0} == {
        "file": "anchor-01.jpg", "kind": "viewpoint", "subclass": "back", "pts_ns": 2000, "inside_clip": False, "box": None, "score": 0
    }  # fmt: skip


def test_webdataset_groups_the_members_under_the_key() -> None:
    from webdataset.tariterators import group_by_keys, tar_file_expander

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in build_sample(SAMPLE).items():
            info = tarfile.TarInfo(member_name("clip-1", name))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    file.seek(0)
    (sample,) = group_by_keys(tar_file_expander([{"url": "x", "stream": file}]))
    assert sample["__key__"] == "clip-1"
    assert parse_sample(sample["__key__"], sample) == SAMPLE


@pytest.mark.parametrize("key", ["a.b", "", "__meta__", "a/b", "a b", "x" * 81, "é"])
def test_keys_that_webdataset_would_not_give_back_are_refused(key: str) -> None:
    with pytest.raises(SampleError, match="cannot be a sample's key"):
        member_name(key, "json")
    with pytest.raises(SampleError, match="cannot be a sample's key"):
        build_sample(replace(SAMPLE, metadata=replace(METADATA, clip_id=key)))


@pytest.mark.parametrize("name", ["mp4", "flac", "anchor-00.jpg"])
def test_damaged_bytes_are_noticed(name: str) -> None:
    members = build_sample(SAMPLE)
    with pytest.raises(SampleError, match=rf"clip-1: clip-1\.{name} is damaged"):
        parse_sample("clip-1", members | {name: b"\0" + members[name][1:]})


def test_members_of_others_are_left_alone() -> None:
    assert parse_sample("clip-1", build_sample(SAMPLE) | {"latent.npy": b"later", "__url__": "x"}) == SAMPLE


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(metadata_to_json(METADATA, {})) | fields).encode()


def test_another_releases_sample_says_what_to_do() -> None:
    with pytest.raises(SampleVersionError, match=rf"clip-1: the sample has version {SAMPLE_VERSION + 1}, .* upgrade gloria-anchors"):
        metadata_from_json("clip-1", changed(version=SAMPLE_VERSION + 1))
    with pytest.raises(SampleVersionError, match=r"version 0, .* pack the clips again"):
        metadata_from_json("clip-1", changed(version=0))


@pytest.mark.parametrize("name", [name for name in json.loads(metadata_to_json(METADATA, {})) if name not in ("schema", "version", "crc32")])
def test_every_field_must_be_there_and_of_its_type(name: str) -> None:
    content = json.loads(metadata_to_json(METADATA, {}))
    del content[name]
    with pytest.raises(SampleError, match=f"clip-1: .* lacks '{name}'"):
        metadata_from_json("clip-1", json.dumps(content).encode())
    with pytest.raises(SampleError, match=f"clip-1: .*'{name}' is {{}}, not "):
        metadata_from_json("clip-1", changed(**{name: {}}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "portrait"}, "'portrait' is not a AnchorKind"),
        ({"subclass": "happy"}, "a global anchor has no subclass"),
        ({"kind": "viewpoint", "subclass": "happy"}, "'happy' is not a Viewpoint"),
        ({"kind": "viewpoint", "subclass": None}, "a viewpoint anchor needs a subclass"),
        ({"box": [1, 2, 3]}, "is not x0, y0, x1, y1"),
        ({"pts_ns": True}, "'pts_ns' is True, not int"),
    ],
)
def test_a_wrong_anchor_is_named(change: dict[str, Any], message: str) -> None:
    anchors = json.loads(metadata_to_json(METADATA, {}))["anchors"]
    anchors[0] |= change
    with pytest.raises(SampleError, match=rf"clip-1: anchors\[0\]: .*{message}|clip-1: anchors\[0\]: {message}"):
        metadata_from_json("clip-1", changed(anchors=anchors))


def test_parts_that_do_not_fit_are_refused() -> None:
    members = build_sample(SAMPLE)
    for name in ("mp4", "flac", "anchor-01.jpg"):
        with pytest.raises(SampleError, match=f"clip-1: lacks clip-1.{name}"):
            parse_sample("clip-1", {key: value for key, value in members.items() if key != name})
    with pytest.raises(SampleError, match=r"has no clip-1\.json; its members are mp4"):
        parse_sample("clip-1", {"mp4": b""})
    with pytest.raises(SampleError, match="says its clip_id is 'clip-1'"):
        parse_sample("clip-2", members)
    with pytest.raises(SampleError, match="says that there is no audio"):
        parse_sample("clip-1", members | {"json": changed(audio=False)})
    with pytest.raises(SampleError, match="2 anchor pictures for 3 anchors"):
        build_sample(replace(SAMPLE, anchors=(b"a", b"b")))
    with pytest.raises(SampleError, match="says inside_clip True"):
        build_sample(replace(SAMPLE, metadata=replace(METADATA, end_ns=1_400)))
    with pytest.raises(SampleError, match="no extent"):
        build_sample(replace(SAMPLE, metadata=replace(METADATA, end_ns=1_000)))
    with pytest.raises(SampleError, match=r"anchors\[0\] is the file 'anchor-01.jpg'"):
        build_sample(replace(SAMPLE, metadata=replace(METADATA, anchors=ANCHORS[1:]), anchors=(b"b", b"c")))


@pytest.mark.parametrize("content", [b"\xff", b"[]", b'{"version": 1}', b"{"])
def test_something_else_is_not_taken_for_a_sample(content: bytes) -> None:
    with pytest.raises(SampleError, match="clip-1"):
        metadata_from_json("clip-1", content)


@given(st.lists(st.tuples(st.sampled_from([None, *Viewpoint, *Expression]), st.integers(-(10**15), 10**15)), max_size=120), st.text())
def test_any_metadata_survives(anchors: list[tuple[Viewpoint | Expression | None, int]], caption: str) -> None:
    kinds = {Viewpoint: AnchorKind.VIEWPOINT, Expression: AnchorKind.EXPRESSION, type(None): AnchorKind.GLOBAL}
    made = tuple(
        SampleAnchor(anchor_file(number), kinds[type(subclass)], subclass, pts_ns, 1_000 <= pts_ns < 2_000, None, 0.1)
        for number, (subclass, pts_ns) in enumerate(anchors)
    )
    metadata = replace(METADATA, anchors=made, caption=caption)
    assert metadata_from_json("clip-1", metadata_to_json(metadata, {})) == metadata
