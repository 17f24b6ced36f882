"""The same content is the same input whatever it is called; another content is another."""

import shutil
from pathlib import Path

from model.generate.fingerprint import BLOCK, BLOCKS, of_file, of_folder


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_content_counts_and_names_do_not(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    one, other = write(tmp_path / "a.png", content), write(tmp_path / "b" / "c.jpg", content)
    assert of_file(one) == of_file(other)
    seen = {of_file(one)}
    for place in (0, 1000, len(content) - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        seen.add(of_file(write(tmp_path / "changed", bytes(changed))))
    seen |= {of_file(write(tmp_path / "changed", other)) for other in (content + b"\0", content[:-1], b"", b"\0")}
    assert len(seen) == 8


def test_of_large_files_the_size_and_blocks_from_end_to_end_count(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    size = 3 * BLOCKS * BLOCK + 12345
    with path.open("wb") as file:
        file.truncate(size)
    seen = {of_file(path)}
    for place in (0, size - 1, size - BLOCK):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\1")
        seen.add(of_file(path))
    with path.open("r+b") as file:
        file.truncate(size + 1)
    seen.add(of_file(path))
    assert len(seen) == 5


def test_every_byte_counts_up_to_the_size_that_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "film", bytes(BLOCKS * BLOCK))
    before = of_file(path)
    with path.open("r+b") as file:
        file.seek(7 * BLOCK + 99)
        file.write(b"\1")
    assert of_file(path) != before


def test_folders_are_what_is_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write(folder / "config.json", b"{}")
    write(folder / "sub" / "weights", b"12345")
    before = of_folder(folder)
    copy = Path(shutil.copytree(folder, tmp_path / "other name"))
    assert of_folder(copy) == before
    write(copy / "sub" / "weights", b"12346")
    changed = of_folder(copy)
    write(copy / "sub" / "weights", b"12345")
    assert of_folder(copy) == before
    (copy / "sub" / "weights").rename(copy / "sub" / "other")
    renamed = of_folder(copy)
    (copy / "sub" / "other").rename(copy / "weights")
    moved = of_folder(copy)
    (copy / "weights").unlink()
    assert len({before, changed, renamed, moved, of_folder(copy)}) == 5


def test_links_are_what_they_point_to(tmp_path: Path) -> None:
    """As in the cache of a hub, where a checkpoint's files are links to blobs."""
    blob = write(tmp_path / "blobs" / "0a1b", b"weights")
    write(tmp_path / "plain" / "model", b"weights")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model").symlink_to(blob)
    assert of_folder(tmp_path / "snapshot") == of_folder(tmp_path / "plain")
