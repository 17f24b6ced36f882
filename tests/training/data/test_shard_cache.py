import errno
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from filelock import FileLock
from fsspec.implementations.memory import MemoryFileSystem

from tests.training.data.counting_server import CountingServer, serve
from training.data import shard_cache
from training.data.shard_cache import LOCK, PARTIAL, RESERVED, ShardCache
from training.data.storage import NotThereError
from training.errors import TrainingError

SIZE = 1000


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_cache, "PAUSE_SECONDS", 0.001)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CountingServer]:
    (tmp_path / "served").mkdir()
    for number in range(6):
        (tmp_path / "served" / f"{number}.tar").write_bytes(bytes([number]) * SIZE)
    with serve(tmp_path / "served", seconds=0.02) as counts:
        yield counts


@pytest.fixture
def cache(tmp_path: Path) -> ShardCache:
    return ShardCache(tmp_path / "cache", 3 * SIZE)


def copies(cache: ShardCache) -> set[str]:
    return {path.name.rpartition("-")[2] for path in cache.folder.iterdir() if not path.name.startswith(".")}


def leftovers(cache: ShardCache) -> list[Path]:
    return [path for path in cache.folder.iterdir() if path.name.endswith((PARTIAL, RESERVED))]


def test_a_local_shard_is_read_where_it_lies(tmp_path: Path, cache: ShardCache) -> None:
    (tmp_path / "a.tar").write_bytes(b"local")
    for url in (str(tmp_path / "a.tar"), f"file://{tmp_path}/a.tar"):
        assert cache.fetch(url) == tmp_path / "a.tar"
        with cache.open(url) as file:
            assert file.read() == b"local"
    assert not cache.folder.exists()


def test_a_remote_shard_is_fetched_once(server: CountingServer, cache: ShardCache) -> None:
    for _ in range(3):
        with cache.open(f"{server.url}/1.tar") as file:
            assert file.read() == b"\1" * SIZE
    assert cache.fetch(f"{server.url}/1.tar").read_bytes() == b"\1" * SIZE
    assert server.gets == {"1.tar": 1}
    assert leftovers(cache) == []


def test_shards_of_one_name_in_two_places_are_two(server: CountingServer, cache: ShardCache) -> None:
    other = fsspec.filesystem("memory")
    other.pipe_file("/elsewhere/1.tar", b"other")
    assert cache.fetch(f"{server.url}/1.tar").read_bytes() != cache.fetch("memory://elsewhere/1.tar").read_bytes() == b"other"


def _read_all(cache: ShardCache, urls: list[str], failures: "multiprocessing.Queue[str]") -> None:
    for url in urls:
        with cache.open(url) as file:
            if len(set(file.read())) != 1:
                failures.put(url)


def test_processes_fetch_a_shard_once_between_them(server: CountingServer, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path / "cache", 6 * SIZE)
    urls = [f"{server.url}/{number}.tar" for number in range(6)]
    context = multiprocessing.get_context("fork")
    failures: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_read_all, args=(cache, urls[n:] + urls[:n], failures)) for n in (0, 0, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert failures.empty()
    assert server.gets == {f"{number}.tar": 1 for number in range(6)}


def test_the_shards_go_that_were_not_opened_for_longest(server: CountingServer, cache: ShardCache) -> None:
    for number in (0, 1, 2, 0, 3):
        cache.open(f"{server.url}/{number}.tar").close()
        time.sleep(0.01)
    assert copies(cache) == {"0.tar", "2.tar", "3.tar"}


def test_the_bound_holds_at_every_moment(server: CountingServer, cache: ShardCache) -> None:
    """Threads fetch more than fits; what is being fetched counts too."""
    used: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if cache.folder.exists():
                with FileLock(cache.folder / f".folder{LOCK}"):
                    sizes = {path.name: path.stat().st_size for path in list(cache.folder.iterdir()) if not path.name.endswith((LOCK, PARTIAL))}
                    done = {name for name in sizes if f".{name}{RESERVED}" in sizes}
                used.append(sum(size for name, size in sizes.items() if name not in done))
            time.sleep(0.001)

    def fetch(numbers: tuple[int, ...]) -> None:
        for number in numbers:
            with cache.open(f"{server.url}/{number}.tar") as file:
                assert file.read() == bytes([number]) * SIZE

    watcher = threading.Thread(target=watch)
    watcher.start()
    fetchers = [threading.Thread(target=fetch, args=(numbers,)) for numbers in ((0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0))]
    for thread in fetchers:
        thread.start()
    for thread in fetchers:
        thread.join()
    over.set()
    watcher.join()
    assert 0 < max(used) <= 3 * SIZE
    assert len(copies(cache)) <= 3


def test_what_is_open_can_be_read_after_it_was_removed(server: CountingServer, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path / "cache", SIZE)
    with cache.open(f"{server.url}/0.tar") as file:
        cache.open(f"{server.url}/1.tar").close()
        assert copies(cache) == {"1.tar"}
        assert file.read() == b"\0" * SIZE


def test_a_fetch_that_was_cut_off_is_tried_again(server: CountingServer, cache: ShardCache) -> None:
    server.cut_off["2.tar"] = 2
    assert cache.fetch(f"{server.url}/2.tar").read_bytes() == b"\2" * SIZE
    assert server.gets["2.tar"] == 3


def test_a_storage_that_keeps_failing_is_named(server: CountingServer, cache: ShardCache) -> None:
    server.cut_off["2.tar"] = 99
    with pytest.raises(TrainingError, match=r"2\.tar could not be fetched in 4 attempts: .*; try again, or check the URL"):
        cache.open(f"{server.url}/2.tar")
    assert leftovers(cache) == []
    assert copies(cache) == set()


def test_a_missing_shard_is_named_at_once(server: CountingServer, cache: ShardCache) -> None:
    for url in (f"{server.url}/none.tar", "memory://nowhere/none.tar", "/nowhere/none.tar"):
        with pytest.raises(NotThereError, match=r"none\.tar: there is no such file"):
            cache.open(url)
    assert server.gets["none.tar"] <= 1


def test_a_shard_that_can_never_fit_is_refused(server: CountingServer, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path / "cache", SIZE - 1)
    with pytest.raises(TrainingError, match=r"raise data.cache-gigabytes"):
        cache.open(f"{server.url}/0.tar")
    assert leftovers(cache) == []


def test_what_a_killed_process_left_behind_makes_room(server: CountingServer, cache: ShardCache) -> None:
    cache.folder.mkdir()
    dead, alive = cache.copy_of("http://x/dead.tar").name, cache.copy_of("http://x/alive.tar").name
    for name in (dead, alive):
        for suffix in (PARTIAL, RESERVED):
            (cache.folder / f".{name}{suffix}").write_bytes(bytes(SIZE))
    with FileLock(cache.folder / f".{alive}{LOCK}"):
        for number in range(3):
            cache.open(f"{server.url}/{number}.tar").close()
        assert sorted(path.name for path in leftovers(cache)) == [f".{alive}{PARTIAL}", f".{alive}{RESERVED}"]
        assert copies(cache) == {"1.tar", "2.tar"}


def test_a_full_disk_is_a_sentence_and_is_not_tried_again(cache: ShardCache, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").pipe_file("/full/a.tar", bytes(SIZE))
    attempts = []

    def no_space(*_: object, **__: object) -> None:
        attempts.append(1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(MemoryFileSystem, "get_file", no_space)
    with pytest.raises(TrainingError, match=r"the shard cache .*cache cannot be used \(No space left on device\); choose a folder with --data.cache"):
        cache.open("memory://full/a.tar")
    assert len(attempts) == 1
    assert leftovers(cache) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    fsspec.filesystem("memory").pipe_file("/full/a.tar", b"x")
    with pytest.raises(TrainingError, match=r"choose a folder with --data.cache"):
        ShardCache(tmp_path / "file", SIZE).open("memory://full/a.tar")
