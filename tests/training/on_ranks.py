"""A function on several ranks, as torchrun would start them. They are forked from a server that has imported torch, which takes longer than the tests."""

import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

LONGEST = 120.0
"""Seconds, after which it hangs."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch._dynamo", "torch.distributed.checkpoint.state_dict", "torch.distributed.fsdp", "training.checkpoints"])


def on_ranks(ranks: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What the function returns on each rank, in order; it has to be importable, and what it takes and returns picklable. An error on one is raised here."""
    port = _free_port()
    started = []
    for rank in range(ranks):
        ours, theirs = _context.Pipe()
        process = _context.Process(target=_run, args=(theirs, rank, ranks, port, function, arguments), daemon=True)
        process.start()
        theirs.close()
        started.append((process, ours))
    try:
        return [_result(connection) for _, connection in started]
    finally:
        for process, _ in started:
            process.kill()
            process.join()


def _result(connection: Connection) -> Any:
    if not connection.poll(LONGEST):
        raise TimeoutError(f"a rank hangs, or the machine takes more than {LONGEST:.0f} s")
    error, result = pickle.loads(connection.recv_bytes())  # not as multiprocessing would: it leaves tensors in a memory that ends with the rank
    if error is not None:
        raise AssertionError(error)
    return result


def _run(connection: Connection, rank: int, ranks: int, port: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        connection.send_bytes(pickle.dumps((None, function(*arguments))))
    except BaseException:
        connection.send_bytes(pickle.dumps((traceback.format_exc(), None)))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
