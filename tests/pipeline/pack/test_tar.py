import io
import tarfile

import pytest

from pipeline.pack.tar import END, layout, read_piece, write_piece
from schemas.sample import Sample, SampleError, SampleMetadata, build_sample

METADATA = SampleMetadata("clip-1", "video", "shot", "track", "character", 0, 1, 1, 16.0, 16, 16, None, True, (), 0, "hash")


def piece(key: str, members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    write_piece(file, key, members)
    return file.getvalue()


@pytest.mark.parametrize("sizes", [[0], [1], [511, 512, 513], [3, 0, 1024]])
def test_pieces_and_an_end_are_a_tar(sizes: list[int]) -> None:
    members = {f"part-{number}.bin": bytes([number + 1]) * size for number, size in enumerate(sizes)}
    content = piece("one", members) + piece("two", members) + END
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        infos = archive.getmembers()
        assert [info.name for info in infos] == [f"{key}.{name}" for key in ("one", "two") for name in members]
        assert [archive.extractfile(info).read() for info in infos] == [*members.values()] * 2  # type: ignore[union-attr]
        assert {(info.mtime, info.uid, info.gid, info.mode, info.uname, info.gname) for info in infos} == {(0, 0, 0, 0o644, "", "")}
        where = layout({name: len(value) for name, value in members.items()})
        assert where.size == len(piece("one", members))
        assert [info.offset_data for info in infos] == [*where.offsets, *(where.size + offset for offset in where.offsets)]


def test_a_piece_tells_what_it_holds() -> None:
    members = build_sample(Sample(METADATA, b"v" * 700, b"a", ()))
    content = piece("clip-1", members)
    metadata, where = read_piece(io.BytesIO(content), "clip-1")
    assert metadata == METADATA
    assert where == layout({name: len(value) for name, value in members.items()})


def test_what_is_no_piece_of_this_sample() -> None:
    content = piece("clip-1", build_sample(Sample(METADATA, b"v", b"a", ())))
    with pytest.raises(SampleError, match="belongs to another sample"):
        read_piece(io.BytesIO(content), "clip-2")
    with pytest.raises(SampleError, match=r"has no clip-1\.json"):
        read_piece(io.BytesIO(piece("clip-1", {"mp4": b"v"})), "clip-1")
    with pytest.raises(SampleError, match="not a piece of a tar"):
        read_piece(io.BytesIO(b"x" * 2000), "clip-1")
