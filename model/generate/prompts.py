"""What is asked for, over time: one prompt, or a small file of them.

    - {from: 0, to: 12.5, prompt: "She walks along the beach"}
    - {from: 12.5, prompt: "She stops and laughs"}

Times are seconds of the video. An entry lasts until its ``to``, which is where the next one begins; left out, until the next begins or, of the last one,
for ever. A chunk is made with one prompt, that of its first new frame: a change is seen from the first chunk on that begins behind it.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from model.errors import ModelInputError
from model.generate.plan import Chunk, Number

SUFFIXES = (".yaml", ".yml")
"""What tells a file of prompts from a prompt."""
_KEYS = ("from", "to", "prompt")


@dataclass(frozen=True, slots=True)
class TimedPrompt:
    """A prompt, from a second on."""

    start: Fraction
    prompt: str


@dataclass(frozen=True, slots=True)
class PromptSchedule:
    """Prompts over time, without gaps.

    Attributes:
        entries: in the order of their start; the first starts at 0.
        end: seconds at which the last one ends; None for never.
        source: what to call it in a message.
    """

    entries: tuple[TimedPrompt, ...]
    end: Fraction | None = None
    source: str = "the prompt"

    def prompt_at(self, seconds: Number) -> str:
        """The prompt at a time.

        Raises:
            ModelInputError: before the beginning, or after the end.
        """
        at = Fraction(seconds)
        if at < 0 or (self.end is not None and at >= self.end):
            raise ModelInputError(f"{self.source} has no prompt at {float(at):g} s; it covers 0 to {'…' if self.end is None else f'{float(self.end):g} s'}")
        return [entry.prompt for entry in self.entries if entry.start <= at][-1]

    def for_chunk(self, chunk: Chunk) -> str:
        """The prompt of a chunk: that of its first new frame."""
        return self.prompt_at(chunk.new_at)

    def check(self, seconds: Number) -> None:
        """Make sure that there is a prompt for every frame of a video of this length.

        Raises:
            ModelInputError: the last entry ends before.
        """
        if self.end is not None and self.end < Fraction(seconds):
            raise ModelInputError(
                f"{self.source}: the prompts end at {float(self.end):g} s, but the video lasts {float(seconds):g} s; leave `to` out of the last one"
            )


def read_prompts(text: str) -> PromptSchedule:
    """The schedule that a command-line argument means: a prompt, or the name of a YAML file of prompts.

    Raises:
        ModelInputError: an empty prompt; a file that cannot be read or has gaps, overlaps or unknown words. The message names the file and the entry.
    """
    if text.lower().endswith(SUFFIXES):
        return read_schedule(Path(text))
    if not text.strip():
        raise ModelInputError("the prompt is empty; say what the video shows")
    return PromptSchedule((TimedPrompt(Fraction(0), text),))


def read_schedule(path: Path) -> PromptSchedule:
    """The schedule in a YAML file; raises as read_prompts."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelInputError(f"{path}: the file of prompts cannot be read ({error.strerror}); check its name") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelInputError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, list) or not content:
        raise ModelInputError(f'{path} must hold a list of entries, for example `- {{from: 0, to: 12.5, prompt: "a walk"}}`')
    entries: list[TimedPrompt] = []
    end: Fraction | None = Fraction(0)
    for number, raw in enumerate(content, 1):
        where = f"{path}, entry {number}"
        start, stop, prompt = _entry(where, raw)
        _check_order(where, start, entries[-1].start if entries else None, end)
        entries.append(TimedPrompt(start, prompt))
        end = stop
    return PromptSchedule(tuple(entries), end, str(path))


def _entry(where: str, raw: Any) -> tuple[Fraction, Fraction | None, str]:
    """An entry's from, to and prompt."""
    if not isinstance(raw, dict):
        raise ModelInputError(f'{where} is {raw!r}, not an entry such as `{{from: 0, to: 12.5, prompt: "a walk"}}`')
    if unknown := [str(key) for key in raw if key not in _KEYS]:
        raise ModelInputError(f"{where} has {', '.join(unknown)}; an entry has from, to and prompt")
    for key in ("from", "prompt"):
        if key not in raw:
            raise ModelInputError(f"{where} lacks `{key}`; an entry has from, to (may be left out) and prompt")
    prompt = raw["prompt"]
    if not isinstance(prompt, str) or not prompt.strip():
        raise ModelInputError(f"{where}: the prompt is {prompt!r}; write a sentence in quotation marks")
    start = _seconds(where, "from", raw["from"])
    stop = None if raw.get("to") is None else _seconds(where, "to", raw["to"])
    if stop is not None and stop <= start:
        raise ModelInputError(f"{where} ends at {float(stop):g} s, which is not after its start at {float(start):g} s; `to` must be greater than `from`")
    return start, stop, prompt


def _seconds(where: str, key: str, value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ModelInputError(f"{where}: `{key}` is {value!r}; give seconds as a number")
    return Fraction(str(value))


def _check_order(where: str, start: Fraction, before: Fraction | None, end: Fraction | None) -> None:
    """An entry begins where the one before ends; the first at 0. ``end`` is None where the one before left it open."""
    if before is None:
        if start != 0:
            raise ModelInputError(f"{where} starts at {float(start):g} s; the first entry must start at 0")
    elif start <= before:
        raise ModelInputError(f"{where} starts at {float(start):g} s, not after the entry before, which starts at {float(before):g} s; put them in order")
    elif end is not None and start > end:
        raise ModelInputError(
            f"{where} starts at {float(start):g} s, but the entry before ends at {float(end):g} s: nothing is said about the gap between them"
        )
    elif end is not None and start < end:
        raise ModelInputError(
            f"{where} starts at {float(start):g} s, but the entry before lasts until {float(end):g} s: two prompts overlap; end that one sooner"
        )
