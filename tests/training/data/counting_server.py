"""A web server on this machine that counts what is fetched from it."""

import http.server
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any


class CountingServer:
    """Serves a folder.

    Attributes:
        url: of the folder.
        gets: by file name, how often it was fetched.
        cut_off: by file name, how many of the next fetches end in the middle.
        seconds: that a fetch takes at least.
    """

    def __init__(self, port: int, seconds: float) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.gets: Counter[str] = Counter()
        self.cut_off: Counter[str] = Counter()
        self.seconds = seconds


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        counts, name = self.server.counts, self.path.lstrip("/")  # type: ignore[attr-defined]
        counts.gets[name] += 1
        time.sleep(counts.seconds)
        if counts.cut_off[name]:
            counts.cut_off[name] -= 1
            content = (Path(self.directory) / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def serve(folder: Path, seconds: float = 0.0) -> Iterator[CountingServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        counts = CountingServer(server.server_port, seconds)
        server.counts = counts  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield counts
        finally:
            server.shutdown()
            thread.join()
