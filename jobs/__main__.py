"""The command line: ``python -m jobs run | observe | select | refine | pack | report | assets | anchors | encode``.

Exit codes: 0 all well (single inputs may have failed: they are in the failures table), 1 nothing could be done, or a check failed,
2 wrong usage, 130 stopped by a signal.

Every command explains its options: ``python -m jobs run --help``. Options can also stand in a YAML file that is named by
``--config options.yaml``; those on the command line win.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import tyro
from rich.console import Console

from jobs.anchors import export_anchors
from jobs.assets import fetch_assets, list_assets
from jobs.engine import SetupError
from jobs.options import COMMANDS, Anchors, Assets, Command, Encode
from jobs.run import execute
from pipeline.failures import InputError
from schemas.yaml_options import OptionsError, with_yaml

MINIMUM_WIDTH = 150
"""Characters; a log or a narrow window would fold the tables of assets and of characters into ribbons."""

PROGRAM = "python -m jobs"

USAGE, NOTHING_DONE, STOPPED = 2, 1, 130


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit code."""
    console = Console(stderr=True, soft_wrap=True)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    try:
        command = parse(arguments)
        if isinstance(command, Assets):
            return _assets(command)
        if isinstance(command, Anchors):
            export_anchors(command, _wide_console())
            return 0
        if isinstance(command, Encode):
            return _encode(command, arguments)
        return execute(command, arguments)
    except OptionsError as error:
        console.print(f"{error}", style="red", markup=False)
        return USAGE
    except (SetupError, InputError) as error:
        console.print(f"{error}", style="red", markup=False)
        return NOTHING_DONE
    except KeyboardInterrupt:
        console.print("stopped; what is finished is kept, the same command goes on from there", markup=False)
        return STOPPED


def parse(arguments: Sequence[str]) -> Command:
    """The command and its options.

    Raises:
        OptionsError: a YAML file that is not right.
        SystemExit: 2 for a wrong usage, 0 after ``--help``.
    """
    name, *rest = [*arguments] or [""]
    if name not in COMMANDS:  # help, or a wrong name
        return tyro.cli(Command, prog=PROGRAM, description=__doc__, args=list(arguments))
    return tyro.cli(COMMANDS[name], prog=f"{PROGRAM} {name}", args=with_yaml(COMMANDS[name], rest))


def _assets(command: Assets) -> int:
    console = _wide_console()
    if command.action == "list":
        list_assets(console)
        return 0
    return NOTHING_DONE if fetch_assets(command.names, console) else 0


def _encode(command: Encode, arguments: Sequence[str]) -> int:
    try:
        from jobs.encode import execute_encode  # needs packages of the model, which other commands do without
    except ImportError as error:
        raise SetupError(f"{error}: encoding needs the packages of the model, pip install -c constraints.txt '.[model]'") from error
    return execute_encode(command, arguments)


def _wide_console() -> Console:
    return Console(width=max(Console().width, MINIMUM_WIDTH))


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
