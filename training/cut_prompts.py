"""Captions that are longer than the text encoder reads: one is told of, not each of them at each look."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CUT = re.compile(r"the prompt '.*' has \d+ (words|tokens) and is cut at \d+", re.DOTALL)
"""What the text encoders of ``model.conditions`` warn with."""


@contextmanager
def cut_prompts_told_once(tell: Callable[[str], None]) -> Iterator[None]:
    """Inside, the first warning of a prompt that is cut is told as a sentence, and those after it are not; other warnings go where they go."""
    told: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_or_tell(message: Warning | str, *where: Any, **more: Any) -> None:
            if not CUT.match(str(message)):
                show(message, *where, **more)
            elif not told:
                told.append(str(message))
                tell(f"{message}. Further captions that are too long are cut without a word")

        warnings.showwarning = show_or_tell
        yield
