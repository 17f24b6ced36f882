import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import deserialize

from schemas import sample
from schemas.latents import LATENTS, Latents, LatentsError, LatentsKey, Numbers, read_key

KEY = LatentsKey(codec="c0dec", text="7e47", audio=None, picture=None, area=399_360)
VIDEO = np.arange(2 * 3 * 4 * 5, dtype=np.float16).reshape(2, 3, 4, 5)
ANCHORS = np.linspace(-1, 1, 2 * 2 * 4 * 5, dtype=np.float32).reshape(2, 2, 4, 5)


def made(**tensors: Numbers) -> Latents:
    return Latents(**({"video": VIDEO, "anchors": None, "text": None, "audio": None, "picture": None} | tensors), key=KEY)  # type: ignore[arg-type]


def header(content: bytes) -> tuple[int, dict[str, str]]:
    """Bytes of the safetensors' header and its metadata, by the format's own description: 8 bytes of length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    return 8 + length, json.loads(content[8 : 8 + length])["__metadata__"]


def test_it_is_the_samples_member() -> None:
    assert LATENTS == sample.LATENTS == "latents.safetensors"


def test_what_is_written_is_read_again_with_its_dtypes() -> None:
    text = np.array([[np.nan, np.inf, -0.0]], np.float16)
    back = Latents.from_bytes(made(anchors=ANCHORS, text=text).to_bytes(), "a.latents.safetensors")
    assert back.key == KEY
    tensors: dict[str, Numbers] = {"video": VIDEO, "anchors": ANCHORS, "text": text}
    for name, tensor in tensors.items():
        found = getattr(back, name)
        assert (found.dtype, found.shape, found.tobytes()) == (tensor.dtype, tensor.shape, tensor.tobytes())
    assert back.audio is None
    assert back.picture is None


@given(arrays.arrays(st.sampled_from([np.float16, np.float32]), arrays.array_shapes(min_dims=4, max_dims=4, max_side=4), elements=st.floats(-8, 8, width=16)))
def test_any_latents_survive(video: Numbers) -> None:
    found = Latents.from_bytes(made(video=video).to_bytes(), "x").video
    assert found.dtype == video.dtype
    np.testing.assert_array_equal(found, video)


def test_a_view_in_another_order_is_written_as_what_it_shows() -> None:
    turned = VIDEO.transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(Latents.from_bytes(made(video=turned).to_bytes(), "x").video, turned)


def test_any_reader_of_safetensors_finds_the_documented_tensors() -> None:
    found = dict(deserialize(made(anchors=ANCHORS).to_bytes()))  # type: ignore[no-untyped-call]
    assert {name: (tensor["dtype"], tensor["shape"]) for name, tensor in found.items()} == {"video": ("F16", [2, 3, 4, 5]), "anchors": ("F32", [2, 2, 4, 5])}
    assert bytes(found["video"]["data"]) == VIDEO.tobytes()


def test_the_same_latents_give_the_same_bytes() -> None:
    """Safetensors' own metadata come in the order of a hash map: there must be one key only."""
    assert len({made(anchors=ANCHORS, text=VIDEO[0, 0]).to_bytes() for _ in range(50)}) == 1
    assert list(header(made().to_bytes())[1]) == ["gloria"]


def test_the_key_is_read_from_the_first_bytes_alone() -> None:
    content = made(anchors=ANCHORS).to_bytes()
    end, _ = header(content)
    assert read_key(content[:end], "x") == KEY


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"8", b"\x02\0\0\0\0\0\0\0{}", made().to_bytes()[:20]])
def test_something_else_is_not_taken_for_latents(content: bytes) -> None:
    with pytest.raises(LatentsError, match=r"a\.latents\.safetensors was not written by this project, or is damaged; encode its shard again"):
        Latents.from_bytes(content, "a.latents.safetensors")


def test_a_member_that_is_cut_short_is_damaged() -> None:
    with pytest.raises(LatentsError, match=r"a\.latents\.safetensors is damaged .*; encode its shard again"):
        Latents.from_bytes(made().to_bytes()[:-1], "a.latents.safetensors")


def changed(**values: object) -> bytes:
    content = made().to_bytes()
    end, metadata = header(content)
    whole = json.loads(content[8:end])
    whole["__metadata__"] = {"gloria": json.dumps(json.loads(metadata["gloria"]) | values)}
    text = json.dumps(whole).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


def test_another_releases_latents_say_what_to_do() -> None:
    with pytest.raises(LatentsError, match=r"x has version 2 of gloria\.latents, this release reads 1 of gloria\.latents; encode its shard again"):
        read_key(changed(version=2), "x")
    with pytest.raises(LatentsError, match="this release reads"):
        read_key(changed(schema="others"), "x")
    with pytest.raises(LatentsError, match="does not say which networks"):
        read_key(changed(key={"codec": "x"}), "x")


def test_a_key_survives_json_whatever_is_in_it() -> None:
    for key in (KEY, replace(KEY, text=None, audio="a", picture="p", area=1)):
        assert LatentsKey.from_json(key.to_json()) == key
        assert LatentsKey.from_json(key.to_json().encode()) == key
    for content in ("", "[]", "{}", '{"codec": 1}'):
        with pytest.raises(LatentsError, match="does not say which networks the latents come from; encode the shards again"):
            LatentsKey.from_json(content)


def test_keys_say_where_they_differ_and_every_field_counts() -> None:
    assert KEY.differences(KEY) == []
    assert KEY.differences(replace(KEY, codec="other", text=None)) == ["codec other instead of c0dec", "text None instead of 7e47"]
    for field in fields(KEY):
        changes: dict[str, Any] = {field.name: 3 if field.name == "area" else "x"}
        assert len(KEY.differences(replace(KEY, **changes))) == 1
