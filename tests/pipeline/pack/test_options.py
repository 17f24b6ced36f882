from dataclasses import fields, replace
from typing import Any

import pytest

from pipeline.pack.options import PackOptions


@pytest.mark.parametrize(
    ("name", "value"), [("crf", 52), ("crf", -1), ("jpeg_quality", 96), ("area", 255), ("shard_bytes", 0), ("max_anchors", 0), ("threads", 0)]
)
def test_values_out_of_range_are_named(name: str, value: int) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"pack: {name} must be .* not {value}"):
        PackOptions(**wrong)


def test_the_hash_changes_with_what_changes_a_sample_and_with_nothing_else() -> None:
    other: dict[str, Any] = {"upscale": True, "audio": False, "preset": "slow", "decoder": "decord", "area": 400, "include_pending": True}
    for field in fields(PackOptions):
        changed = replace(PackOptions(), **{field.name: other.get(field.name, 40)})
        without_influence = field.name in ("shard_bytes", "chunk_seconds", "threads", "include_pending")
        assert (changed.content_hash == PackOptions().content_hash) == without_influence, field.name
