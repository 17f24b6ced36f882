"""The parts of the verdicts table: one per character, and one per verdict that has just come in.

A verdict is written the moment it arrives, so that a job that is killed has nothing to ask again; when its character is done, the
small parts become one. A reader in between finds every verdict once or twice, never not at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from jobs import parts
from pipeline.failures import InputError
from pipeline.refine.verdicts import Verdict, verdict_rows
from schemas.table import TableVersionError
from schemas.tables import VERDICTS
from schemas.vocabulary import FailureKind


def names_by_video(out: str) -> dict[str, list[str]]:
    """The names of all parts by video_id, with one listing."""
    names: dict[str, list[str]] = defaultdict(list)
    for name in parts.part_names(out, VERDICTS):
        names[name.partition("-")[0]].append(name)
    return names


def read(out: str, names: Iterable[str]) -> dict[str, Verdict]:
    """The verdicts of some parts by verdict_id, the last of those that were asked more than once. Another release's count as none."""
    known: dict[str, Verdict] = {}
    with ThreadPoolExecutor(parts.READERS) as pool:
        for verdicts in pool.map(lambda name: _read(out, name), names):
            for verdict in verdicts:
                before = known.get(verdict.verdict_id)
                if before is None or before.answered_at <= verdict.answered_at:
                    known[verdict.verdict_id] = verdict
    return known


class CharacterVerdicts:
    """The verdicts of one character while it is asked about."""

    def __init__(self, out: str, character_id: str, known: Mapping[str, Verdict], names: Iterable[str]) -> None:
        """Take up what is there.

        Args:
            out: the output root.
            character_id: whose.
            known: by verdict_id, those of its whole video: characters may have been told apart otherwise when they were asked about.
            names: of all parts of its video.
        """
        self._out, self._character_id = out, character_id
        self._own = {name: verdict for name, verdict in known.items() if verdict.character_id == character_id}
        self._names = [name for name in names if character_of(name) == character_id]
        self.final = {name: verdict for name, verdict in known.items() if verdict.is_final}
        """What needs not be asked again."""

    def keep(self, verdict: Verdict) -> None:
        """Write a verdict that has just come in."""
        name = f"{self._character_id}-{verdict.verdict_id}"
        parts.write_part(self._out, VERDICTS, name, verdict_rows([verdict]))
        self._own[verdict.verdict_id] = verdict
        self._names.append(name)

    def merge(self) -> None:
        """Make one part of all that the character has, unless it is one already."""
        small = [name for name in self._names if name != self._character_id]
        if small:
            parts.write_part(self._out, VERDICTS, self._character_id, verdict_rows(self._own.values()))
        for name in small:
            parts.remove_part(self._out, VERDICTS, name)


def character_of(name: str) -> str:
    """The character whose verdicts a part holds."""
    return "-".join(name.split("-")[:2])


def _read(out: str, name: str) -> list[Verdict]:
    try:
        return [Verdict.from_row(row) for row in parts.read_part(out, VERDICTS, name).to_pylist()]
    except TableVersionError:
        return []
    except InputError as error:
        if error.kind is FailureKind.NOT_FOUND:  # another worker has just merged that character's parts
            return []
        raise
