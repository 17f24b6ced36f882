import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.pack.shards import read_shard_index
from schemas.latents import INDEX_METADATA, LatentsKey
from schemas.sample import Sample
from schemas.table import VERSION_KEY
from schemas.tables import SHARD_INDEX
from tests.pipeline.pack.made_samples import made_sample
from tests.training.data.made_shards import write_shards, write_small_shards
from training.data.index import ShardIndex, read_index
from training.errors import TrainingError

KEY = LatentsKey("codec", "text", None, None, 4096)


def with_metadata(folder: Path, **metadata: bytes) -> None:
    """Write the index again with other metadata; an underscore stands for a dot."""
    table = pq.read_table(folder / "index.parquet")
    changed = table.schema.metadata | {name.replace("_", ".").encode(): value for name, value in metadata.items()}
    pq.write_table(table.replace_schema_metadata(changed), folder / "index.parquet")


def varied() -> list[Sample]:
    return [made_sample(f"c{n}", audio=n % 2 == 0, anchors=n) for n in range(6)]


def test_the_index_says_what_pack_wrote(tmp_path: Path) -> None:
    index = read_index([str(write_shards(tmp_path, varied(), 3))])
    rows = read_shard_index(str(tmp_path))
    assert len(index) == 6
    assert index.keys.tolist() == [row["key"] for row in rows]
    assert [index.shard_urls[shard] for shard in index.shard] == [str(tmp_path / row["shard"]) for row in rows]
    for row, truth in enumerate(rows):
        assert [member._asdict() for member in index.members(row)] == [
            {"name": name, "offset": offset, "size": size}
            for name, offset, size in zip(truth["member_names"], truth["member_offsets"], truth["member_sizes"], strict=True)
        ]
        for name in ("offset", "size", "frame_count", "frame_rate", "width", "height", "audio", "video_id", "character_id"):
            assert getattr(index, name)[row] == truth[name]
    assert index.has_pixels.all()
    assert not index.has_latents.any()
    assert index.latents_key is None


def test_several_folders_follow_one_another(tmp_path: Path) -> None:
    write_shards(tmp_path / "a", varied()[:4], 2)
    write_shards(tmp_path / "b", varied()[4:], 2)
    a, b = read_index([str(tmp_path / "a")]), read_index([f"file://{tmp_path}/b/index.parquet"])
    both = read_index([str(tmp_path / "a"), f"file://{tmp_path}/b"])
    assert both.keys.tolist() == a.keys.tolist() + b.keys.tolist()
    assert both.shard_urls == a.shard_urls + b.shard_urls
    assert both.shard.tolist() == a.shard.tolist() + [len(a.shard_urls) + shard for shard in b.shard.tolist()]
    assert [both.members(row) for row in range(6)] == [a.members(row) for row in range(4)] + [b.members(row) for row in range(2)]


def test_shards_may_lie_elsewhere_than_the_index(tmp_path: Path) -> None:
    rows = read_shard_index(str(write_shards(tmp_path, varied(), 9)))
    (tmp_path / "elsewhere").mkdir()
    for shard in ("/data/a.tar", "s3://bucket/a.tar", "a.tar"):
        table = SHARD_INDEX.from_rows([row | {"shard": shard} for row in rows])
        pq.write_table(table, tmp_path / "elsewhere" / "mine.parquet")
        expected = str(tmp_path / "elsewhere" / "a.tar") if shard == "a.tar" else shard
        assert read_index([str(tmp_path / "elsewhere" / "mine.parquet")]).shard_urls == (expected,)


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    def fingerprint(name: str, samples: list[Sample], per_shard: int = 3) -> str:
        return read_index([str(write_shards(tmp_path / name, samples, per_shard))]).fingerprint

    same = fingerprint("a", varied())
    assert fingerprint("b", varied()) == same
    assert fingerprint("c", varied()[:5]) != same
    assert fingerprint("d", varied(), per_shard=2) != same
    changed = varied()
    changed[2] = replace(changed[2], metadata=replace(changed[2].metadata, sample_hash="other"))
    assert fingerprint("e", changed) != same


def test_the_networks_of_latents(tmp_path: Path) -> None:
    for name, key in (("a", KEY), ("b", KEY), ("c", replace(KEY, area=8192))):
        write_shards(tmp_path / name, [made_sample(f"{name}-clip")], 1)
        with_metadata(tmp_path / name, **{INDEX_METADATA.decode(): key.to_json().encode()})
    write_shards(tmp_path / "plain", [made_sample("d-clip")], 1)
    assert read_index([str(tmp_path / name) for name in ("a", "plain", "b")]).latents_key == KEY
    with pytest.raises(TrainingError, match=r"c are not of the same networks as those of .*a: area 8192 instead of 4096"):
        read_index([str(tmp_path / "a"), str(tmp_path / "c")])


def test_an_index_travels_to_workers(tmp_path: Path) -> None:
    index = read_index([str(write_shards(tmp_path, varied(), 3))])
    again: ShardIndex = pickle.loads(pickle.dumps(index))
    assert again.keys.tolist() == index.keys.tolist()
    assert [again.members(row) for row in range(6)] == [index.members(row) for row in range(6)]
    assert isinstance(again.keys[0], str)


def test_arrays_stay_small(tmp_path: Path) -> None:
    """No object for every sample or member, which forked workers would copy page by page."""
    index = read_index([str(write_small_shards(tmp_path, 3, 5))])
    arrays = [value for name in index.__slots__ if isinstance(value := getattr(index, name), np.ndarray)]
    assert len(arrays) == 18
    assert all(array.dtype != object for array in arrays)


def test_a_missing_index_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"index\.parquet: there is no such index of shards; `python -m jobs pack` writes it .* python -m training index"):
        read_index([str(tmp_path)])
    with pytest.raises(TrainingError, match="there are no shards; give --shards"):
        read_index([])


def test_other_versions_and_other_files_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path, varied(), 3)
    with_metadata(tmp_path, **{VERSION_KEY.decode(): b"99"})
    with pytest.raises(TrainingError, match="version 99, this release reads version 1; upgrade gloria-anchors"):
        read_index([str(tmp_path)])
    pq.write_table(pa.table({"url": ["a"]}), tmp_path / "index.parquet")
    with pytest.raises(TrainingError, match=r"it was not written by this project; .*python -m training index"):
        read_index([str(tmp_path)])
    (tmp_path / "index.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(TrainingError, match="is damaged"):
        read_index([str(tmp_path)])
    pq.write_table(SHARD_INDEX.empty(), tmp_path / "index.parquet")
    with pytest.raises(TrainingError, match="names no samples"):
        read_index([str(tmp_path)])


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path / "a", varied(), 9)
    write_shards(tmp_path / "b", varied()[3:4], 9)
    with pytest.raises(TrainingError, match=r"the key c3 stands twice in the indexes, in .*a/shard-000000.tar and in .*b/shard-000000.tar; name"):
        read_index([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(TrainingError, match=r"the key c0 stands twice .* 5 other keys likewise"):
        read_index([str(tmp_path / "a"), str(tmp_path / "a")])


def test_an_output_root_stands_for_its_shards(tmp_path: Path) -> None:
    write_small_shards(tmp_path / "shards", 1, 2)
    assert read_index([str(tmp_path)]).keys.tolist() == read_index([str(tmp_path / "shards")]).keys.tolist()
