"""A vLLM server on the CPU of this machine: started, watched, stopped and killed. Its environment is made by ``make test-vllm``.

The server runs on one core alone and leaves the others to those who ask it, as a server on a GPU does.
"""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
CORE = min(os.sched_getaffinity(0))
HOST = "127.0.0.1"
MODEL = "tiny-vlm"

REMEDY = "Remove .venv-vllm and run `make test-vllm`, which makes it anew; 4 GB of memory must be free."

SETTINGS = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": str(CORE),
}
"""Nothing is reported and nothing fetched; 1 GiB for the cache of attention; one thread."""

OPTIONS = [
    "--dtype=float32",
    "--max-model-len=4096",
    "--max-num-seqs=32",
    "--enforce-eager",
    "--skip-mm-profiling",
    '--limit-mm-per-prompt={"image": 4, "video": 0}',
    '--structured-outputs-config={"backend": "guidance", "disable_any_whitespace": true}',
    # Nothing is remembered of earlier requests, so that whoever asks the same later finds no easier work.
    "--no-enable-prefix-caching",
    "--mm-processor-cache-gb=0",
    # The log names every request.
    "--enable-log-requests",
    "--disable-uvicorn-access-log",
]


class ServerError(AssertionError):
    """The server is not there. The message has the end of its log and says what to do."""


class VllmServer:
    """The server of a model in a folder. Its address stays the same when it is started again."""

    def __init__(self, model: Path, log: Path) -> None:
        self.port = free_port()
        self._model = model
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"http://{HOST}:{self.port}/v1"

    def start(self, seconds: float = 180.0) -> None:
        """Start and wait until it answers.

        Raises:
            ServerError: it ended, or takes longer.
        """
        if not PYTHON.exists():
            raise ServerError(f"there is no {PYTHON}. {REMEDY}")
        module = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server"]
        served = [f"--model={self._model}", f"--served-model-name={MODEL}", f"--host={HOST}", f"--port={self.port}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*module, *served, *OPTIONS], env=os.environ | SETTINGS, stdout=log, stderr=log, start_new_session=True)
        os.sched_setaffinity(self._process.pid, {CORE})
        deadline = time.monotonic() + seconds
        while not self.is_up:
            if self._process.poll() is not None:
                raise ServerError(f"the server ended with {self._process.returncode}. {REMEDY}\n{self._end_of_log()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"the server does not answer after {seconds:.0f} s. {REMEDY}\n{self._end_of_log()}")
            time.sleep(0.5)

    def stop(self, seconds: float = 30.0) -> None:
        """Ask it to end; kill it when it does not."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            finally:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, to the processes that it started too."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def is_up(self) -> bool:
        """Whether it says that it can be asked."""
        try:
            self._read("/health")
        except OSError:
            return False
        return True

    @property
    def in_flight(self) -> int:
        """Requests that the engine has, being answered or waiting, as the server counts them; 0 while it cannot be asked."""
        try:
            metrics = self._read("/metrics")
        except OSError:
            return 0
        return int(sum(float(count) for count in re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)$", metrics, re.MULTILINE)))

    def requests(self) -> Counter[str]:
        """How often each request was received since the log began, by its request_id."""
        return Counter(re.findall(r"Received request chatcmpl-(\w+)-\d+: ", self._log.read_text(errors="replace")))

    def _read(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def _end_of_log(self, lines: int = 40) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def make_model(folder: Path) -> Path:
    """The tiny model in a folder.

    Raises:
        ServerError: it cannot be made.
    """
    made = subprocess.run([PYTHON, Path(__file__).with_name("make_tiny_model.py"), folder], capture_output=True, text=True) if PYTHON.exists() else None
    if made is None or made.returncode:
        raise ServerError(f"the tiny model cannot be made with {PYTHON}. {REMEDY}\n{made.stderr[-4000:] if made else ''}")
    return folder
