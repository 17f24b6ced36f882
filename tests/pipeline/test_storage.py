"""Files are written whole or not at all, on the local disk and in another file system alike."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import fsspec
import pytest

from pipeline import storage
from pipeline.failures import InputError
from schemas.vocabulary import FailureKind


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path)
        return
    yield "memory://storage-test/root"
    fsspec.filesystem("memory").store.clear()


def test_written_bytes_are_read_back_and_can_be_sought(root: str) -> None:
    uri = storage.join(root, "deep", "folder", "a.bin")
    storage.write_atomic(uri, b"0123456789")
    assert storage.exists(uri)
    assert storage.size(uri) == 10
    with storage.open_read(uri) as file:
        file.seek(-3, io.SEEK_END)
        assert file.read() == b"789"


def test_a_function_writes_into_a_file_and_an_old_content_is_replaced(root: str) -> None:
    uri = storage.join(root, "a.bin")
    storage.write_atomic(uri, b"the old and longer content")

    def write(file: BinaryIO) -> None:
        file.write(b"new?")
        file.seek(3)
        file.write(b"!")

    storage.write_atomic(uri, write)
    assert storage.read_bytes(uri) == b"new!"


def test_a_writer_that_fails_leaves_the_old_content_and_nothing_else(root: str) -> None:
    uri = storage.join(root, "a.bin")
    storage.write_atomic(uri, b"old")

    def write(file: BinaryIO) -> None:
        file.write(b"half of")
        raise RuntimeError("the worker's own error")

    with pytest.raises(RuntimeError, match="own error"):
        storage.write_atomic(uri, write)
    assert storage.read_bytes(uri) == b"old"
    assert [storage.file_name(name) for name in storage.list_files(root, recursive=True)] == ["a.bin"]


def test_what_a_killed_writer_left_is_not_listed_and_can_be_removed(tmp_path: Path) -> None:
    storage.write_atomic(str(tmp_path / "units" / "a.parquet"), b"whole")
    left = tmp_path / "units" / f".b.parquet.0123{storage.TEMPORARY}"
    left.write_bytes(b"ha")
    assert storage.list_files(str(tmp_path / "units")) == [str(tmp_path / "units" / "a.parquet")]
    assert storage.remove_leftovers(str(tmp_path)) == 1
    assert [path.name for path in (tmp_path / "units").iterdir()] == ["a.parquet"]


def test_folders_are_listed_in_order_by_suffix_and_depth(root: str) -> None:
    for name in ("b.txt", "a.txt", "c.mp4", "below/d.txt", ".hidden.txt"):
        storage.write_atomic(storage.join(root, name), b"x")
    assert storage.list_files(root, ".txt") == [storage.join(root, "a.txt"), storage.join(root, "b.txt")]
    assert storage.list_files(root, (".txt", ".mp4"), recursive=True) == [storage.join(root, name) for name in ("a.txt", "b.txt", "below/d.txt", "c.mp4")]
    assert storage.list_files(storage.join(root, "nowhere")) == []
    assert storage.is_folder(storage.join(root, "below"))
    assert not storage.is_folder(storage.join(root, "a.txt"))


def test_globs_are_expanded_and_give_files_that_can_be_read(root: str) -> None:
    for name in ("a1.mp4", "a2.mp4", "b.mp4", "deep/er/a3.mp4"):
        storage.write_atomic(storage.join(root, name), name.encode())
    assert [storage.read_bytes(uri) for uri in storage.expand(storage.join(root, "a?.mp4"))] == [b"a1.mp4", b"a2.mp4"]
    assert [storage.read_bytes(uri) for uri in storage.expand(storage.join(root, "**", "a*.mp4"))] == [b"a1.mp4", b"a2.mp4", b"deep/er/a3.mp4"]
    assert storage.expand(storage.join(root, "c*.mp4")) == []


def test_what_is_no_glob_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "take [2].mp4").touch()
    for uri in ("/a/b.mp4", "https://host/a.mp4?signature=1", str(tmp_path / "take [2].mp4")):
        assert storage.expand(uri) == [uri]


def test_removing_twice_is_fine(root: str) -> None:
    uri = storage.join(root, "a.bin")
    storage.write_atomic(uri, b"x")
    storage.remove(uri)
    storage.remove(uri)
    assert not storage.exists(uri)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("/nowhere/a.mp4", FailureKind.NOT_FOUND),
        ("memory://nowhere/a.mp4", FailureKind.NOT_FOUND),
        ("nosuchscheme://bucket/a.mp4", FailureKind.STORAGE),
        ("/", FailureKind.STORAGE),
    ],
)
def test_errors_are_typed_and_name_the_uri(uri: str, kind: FailureKind) -> None:
    with pytest.raises(InputError) as raised:
        storage.open_read(uri)
    assert raised.value.kind is kind
    assert uri in str(raised.value)


def test_a_target_below_a_file_is_an_error_of_the_storage(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a file where a folder should be")
    with pytest.raises(InputError) as raised:
        storage.write_atomic(str(tmp_path / "a" / "b.bin"), b"x")
    assert raised.value.kind is FailureKind.STORAGE
    assert str(tmp_path / "a" / "b.bin") in str(raised.value)


@pytest.mark.parametrize(
    ("folder", "names", "joined"),
    [
        ("s3://bucket/", ("a/", "b"), "s3://bucket/a/b"),
        ("memory://", ("a",), "memory://a"),
        ("/", ("a",), "/a"),
        ("out", ("a", "b.c"), "out/a/b.c"),
    ],
)
def test_joining(folder: str, names: tuple[str, ...], joined: str) -> None:
    assert storage.join(folder, *names) == joined


def test_local_uris_have_a_path_and_others_have_none() -> None:
    assert storage.local_path("file:///a/b.mp4") == Path("/a/b.mp4")
    assert storage.local_path("s3://a/b.mp4") is None
    assert storage.absolute("b.mp4") == str(Path.cwd() / "b.mp4")
    assert storage.absolute("s3://a/b.mp4") == "s3://a/b.mp4"
    assert storage.file_name("https://host/x/a.mp4?key=1/2") == "a.mp4"
