"""What a name stands for, and that a bad one fails alone. Identity needs bytes only, so the files here are no videos."""

from pathlib import Path

import pytest

from jobs.inputs import find_inputs
from schemas.vocabulary import FailureKind


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.MKV", "deep/c.webm", "notes.txt", "deep/cover.jpg", ".d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def uris(*names: str | Path) -> list[str]:
    inputs = find_inputs([str(name) for name in names])
    assert not inputs.failures
    return sorted(inputs.videos.values())


def test_a_folder_stands_for_the_videos_in_and_below_it(films: Path) -> None:
    assert uris(films) == [str(films / name) for name in ("a.mp4", "b.MKV", "deep/c.webm")]


def test_globs_and_names_overlap_without_harm(films: Path) -> None:
    assert uris(films / "*.mp4", films / "a.mp4", films / "**" / "*.webm") == [str(films / "a.mp4"), str(films / "deep" / "c.webm")]


def test_a_file_that_is_named_itself_may_be_called_anything(films: Path) -> None:
    assert uris(films / "deep" / "cover.jpg") == [str(films / "deep" / "cover.jpg")]


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("list.txt", "# films\na.mp4\n\n  deep \n", "list.txt"),
        ("list", "a.mp4\ndeep", "@list"),
        ("list.csv", "title,url\nA film,a.mp4\nAnother,deep\n", "list.csv"),
        ("list.csv", "a.mp4,A film\ndeep,Another\n", "list.csv"),
        ("outer.txt", "list.txt\n", "outer.txt"),
    ],
)
def test_list_files(films: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str, named: str) -> None:
    (films / "list.txt").write_text("a.mp4\ndeep\n")
    (films / file).write_text(content)
    monkeypatch.chdir("/")
    name = f"@{films / named[1:]}" if named.startswith("@") else str(films / named)
    assert uris(name) == [str(films / "a.mp4"), str(films / "deep" / "c.webm")]


def test_the_order_of_names_has_no_influence(films: Path) -> None:
    names = [str(films / name) for name in ("a.mp4", "b.MKV", "deep/c.webm")]
    assert find_inputs(names) == find_inputs(reversed(names))


def test_copies_are_one_video(films: Path) -> None:
    (films / "again.mp4").write_bytes(b"a.mp4")
    inputs = find_inputs([str(films)])
    assert sorted(inputs.videos.values()) == [str(films / name) for name in ("a.mp4", "b.MKV", "deep/c.webm")]
    assert inputs.copies == {str(films / "again.mp4"): str(films / "a.mp4")}


def test_what_is_not_there_fails_alone(films: Path) -> None:
    (films / "list.txt").write_text("nowhere.mp4\na.mp4\nnone*.mp4\n")
    names = [str(films / "list.txt"), str(films / "missing.txt"), "asset:nonsense", str(films / "deep" / "c.webm"), "nosuchscheme://x/y.mp4"]
    inputs = find_inputs(names)
    assert sorted(inputs.videos.values()) == [str(films / "a.mp4"), str(films / "deep" / "c.webm")]
    kinds = {source: error.kind for source, error in inputs.failures.items()}
    assert kinds.pop("nosuchscheme://x/y.mp4") is FailureKind.STORAGE
    missing = {str(films / "nowhere.mp4"), str(films / "none*.mp4"), str(films / "missing.txt"), "asset:nonsense"}
    assert kinds == dict.fromkeys(missing, FailureKind.NOT_FOUND)
    assert set(inputs.named) == {*inputs.videos.values(), *inputs.failures}


@pytest.mark.parametrize(
    ("file", "content", "kind", "says"),
    [
        ("list.csv", b"", FailureKind.NOT_FOUND, "names no video"),
        ("list.csv", b"# films\n\n", FailureKind.NOT_FOUND, "names no video"),
        ("list.csv", b"title,url\n", FailureKind.NOT_FOUND, "names no video"),
        ("list.txt", b"", FailureKind.NOT_FOUND, "names no video"),
        ("list.txt", "größe.mp4\n".encode("latin-1"), FailureKind.UNSUPPORTED, "not UTF-8"),
        ("list.csv", "größe.mp4\n".encode("utf-16"), FailureKind.UNSUPPORTED, "not UTF-8"),
        ("list.csv", b"a.mp4," + b"x" * 200_000, FailureKind.DAMAGED, "not CSV"),
    ],
)
def test_a_list_that_cannot_be_read_fails_alone(films: Path, file: str, content: bytes, kind: FailureKind, says: str) -> None:
    (films / file).write_bytes(content)
    inputs = find_inputs([str(films / file), str(films / "a.mp4")])
    assert list(inputs.videos.values()) == [str(films / "a.mp4")]
    ((source, error),) = inputs.failures.items()
    assert (source, error.kind) == (str(films / file), kind)
    assert says in str(error)


@pytest.mark.parametrize("content", ["title,url\nA film,a.mp4\nshort\nAnother,deep\nempty,\n", "a.mp4,A film\n,nothing\ndeep\n,\n"])
def test_a_row_without_a_name_is_told_and_the_others_are_taken(films: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.chdir(films)  # an empty name must not stand for the folder
    (films / "list.csv").write_text(content)
    inputs = find_inputs([str(films / "list.csv")])
    assert sorted(inputs.videos.values()) == [str(films / "a.mp4"), str(films / "deep" / "c.webm")]
    ((source, error),) = inputs.failures.items()
    assert source == str(films / "list.csv")
    assert "entry 2, 4" in str(error)


def test_a_list_that_names_itself_ends(films: Path) -> None:
    (films / "list.txt").write_text("a.mp4\nlist.txt\n")
    inputs = find_inputs([str(films / "list.txt")])
    assert list(inputs.videos.values()) == [str(films / "a.mp4")]
    (error,) = inputs.failures.values()
    assert "names itself" in str(error)
