from pathlib import Path
from uuid import uuid4

import pytest

from training.data import storage
from training.data.storage import NotThereError, StorageError
from training.errors import TrainingError


@pytest.fixture(params=["path", "file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {"path": str(tmp_path), "file": f"file://{tmp_path}", "memory": f"memory://{uuid4().hex}"}[request.param]


def test_what_is_written_is_read_anywhere(folder: str) -> None:
    url = storage.join(folder, "a.bin")
    assert not storage.exists(url)
    for content in (b"first", b"second one"):
        storage.write_bytes(url, content)
        assert storage.read_bytes(url) == content
    with storage.open_read(url) as file:
        file.seek(7)
        assert file.read() == b"one"
    assert storage.exists(url)
    assert storage.size(url) == 10
    storage.write_bytes(storage.join(folder, "b.txt"), b"")
    storage.write_bytes(storage.join(folder, "c.bin"), b"")
    names = ["a.bin", "c.bin"]
    assert [storage.split(each)[1] for each in storage.list_files(folder, ".bin")] == names
    assert [storage.split(each)[1] for each in storage.expand(storage.join(folder, "*.bin"))] == names
    assert storage.expand(url) == [url]


def test_nothing_is_left_of_a_write_but_the_file(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "new" / "a"), b"x")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_what_is_not_there_is_named(folder: str) -> None:
    url = storage.join(folder, "none.bin")
    for act in (storage.read_bytes, storage.open_read, storage.size):
        with pytest.raises(NotThereError, match=r"none\.bin: there is no such file; check the path or URL"):
            act(url)


def test_other_troubles_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nosuch://x: the storage answered ValueError"):
        storage.read_bytes("nosuch://x")
    with pytest.raises(StorageError, match="the storage answered IsADirectoryError"):
        storage.read_bytes(str(tmp_path))
    with pytest.raises(TrainingError, match="permission denied"), storage.sentences("s3://a/b"):
        raise PermissionError("no credentials")
    with pytest.raises(TrainingError, match="install the package"), storage.sentences("s3://a/b"):
        raise ImportError("s3fs is missing")
    with pytest.raises(NotThereError), storage.sentences("outer"):
        raise NotThereError("inner")


@pytest.mark.parametrize(
    ("url", "folder", "name"),
    [("/a/b/c.tar", "/a/b", "c.tar"), ("c.tar", ".", "c.tar"), ("/c.tar", "/", "c.tar"), ("https://h/p/c.tar?sign=a/b", "https://h/p", "c.tar")],
)
def test_folder_and_name(url: str, folder: str, name: str) -> None:
    assert storage.split(url) == (folder, name)


def test_what_means_the_same_everywhere() -> None:
    assert [storage.is_absolute(url) for url in ("/a", "s3://a/b", "a/b", "file:///a")] == [True, True, False, True]
    assert storage.absolute("s3://a/b") == "s3://a/b"
    assert storage.absolute("b") == str(Path("b").absolute())
