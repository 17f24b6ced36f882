"""The ``failures`` table: one part per input and stage that failed, with how often it was tried; gone after a later success."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from jobs import parts
from jobs.ledger import content_hash
from pipeline import storage
from pipeline.failures import InputError
from schemas.table import TableVersionError
from schemas.tables import FAILURES
from schemas.vocabulary import Stage

PACKAGES = ("gloria-anchors", "av", "decord", "mediapipe", "numpy", "onnxruntime", "opencv-python-headless", "pyarrow", "ray", "scenedetect")
"""Packages whose versions explain a failure, or a difference between two runs."""


def versions() -> dict[str, str]:
    """The installed versions of the packages that matter, by name."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class FailureLog:
    """The failures of one stage below an output root."""

    def __init__(self, out: str, stage: Stage, config_hash: str = "") -> None:
        self._out, self._stage, self._config_hash = out, stage, config_hash
        self._names = set(parts.part_names(out, FAILURES, f"{stage}-"))

    def __len__(self) -> int:
        return len(self._names)

    def record(self, source: str, error: InputError, attempts: int = 1, video_id: str | None = None) -> None:
        """Write the row of an input that failed; earlier attempts are added up."""
        name = self._name(source)
        row = {
            "source": source,
            "stage": str(self._stage),
            "kind": str(error.kind),
            "message": str(error),
            "attempt": attempts + self._attempts(name),
            "video_id": video_id,
            "config_hash": self._config_hash,
            "versions": versions(),
            "failed_at": datetime.now(UTC),
        }
        parts.write_part(self._out, FAILURES, name, FAILURES.from_rows([row]))
        self._names.add(name)

    def clear(self, source: str) -> None:
        """Remove the row of an input that has succeeded."""
        name = self._name(source)
        if name in self._names:
            parts.remove_part(self._out, FAILURES, name)
            self._names.discard(name)

    def clear_where(self, is_over: Callable[[str, str | None], bool]) -> None:
        """Remove the rows whose (source, video_id) the function says no longer stand for anything."""
        for name in sorted(self._names):
            (row,) = parts.read_part(self._out, FAILURES, name, ["source", "video_id"]).to_pylist()
            if is_over(row["source"], row["video_id"]):
                parts.remove_part(self._out, FAILURES, name)
                self._names.discard(name)

    def _attempts(self, name: str) -> int:
        if name not in self._names or not storage.exists(parts.part_uri(self._out, FAILURES, name)):
            return 0
        try:
            return int(parts.read_part(self._out, FAILURES, name, ["attempt"])["attempt"][0].as_py())
        except TableVersionError:
            return 0

    def _name(self, source: str) -> str:
        return f"{self._stage}-{content_hash(source)}"
