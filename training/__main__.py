"""The command line: ``python -m training``, alone or on several processes by ``torchrun … -m training``.

    python -m training --preset tiny --shards OUT/shards --from-checkpoint CHECKPOINT --out TRAINING     train, or go on with a training
    python -m training export --out TRAINING --to FOLDER                                     a checkpoint as a folder in diffusers' layout
    python -m training index --shards TARS…                                                  an index for webdataset tars that `pack` did not write

Exit codes: 0 finished, 1 something does not fit or went wrong (the message says what and what to do), 2 wrong usage, 130 stopped by a signal: saved,
the same command goes on.
"""

import logging
import os
import sys
from collections.abc import Sequence

import tyro
from rich.console import Console

from model.errors import ModelInputError
from schemas.sample import SampleError
from schemas.yaml_options import OptionsError, value_of, with_yaml
from training.commands import COMMANDS, Export, Index
from training.errors import TrainingError
from training.options import TrainingOptions
from training.other_rank import ended_by_another_rank
from training.presets import preset

PROGRAM = "python -m training"
FAILED, USAGE, STOPPED = 1, 2, 130
PRESET = "--preset"


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit code."""
    console = Console(stderr=True, soft_wrap=True)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    rank = os.environ.get("RANK", "0")
    try:
        if arguments and arguments[0] in COMMANDS:
            return run_command(tyro.cli(COMMANDS[arguments[0]], prog=f"{PROGRAM} {arguments[0]}", args=arguments[1:]), console)
        from training.run import run  # torch's share of the start waits until something is to be done, so that --help is quick

        return 0 if run(parse(arguments), console) else STOPPED
    except OptionsError as error:
        console.print(f"{error}", style="red", markup=False)
        return USAGE
    except (TrainingError, ModelInputError, SampleError) as error:
        console.print(f"{error}" if rank == "0" else f"rank {rank}: {error}", style="red", markup=False)
        return FAILED
    except RuntimeError as error:
        if not ended_by_another_rank(error):
            raise
        console.print(f"rank {rank}: another rank ended; its message says why", markup=False)
        return FAILED
    except KeyboardInterrupt:
        smaller = arguments and arguments[0] in COMMANDS
        console.print("stopped" if smaller else "stopped at once; the newest checkpoint stands, the same command goes on from there", markup=False)
        return STOPPED


def parse(arguments: Sequence[str]) -> TrainingOptions:
    """The options: those of the preset, replaced by those of the YAML file, replaced by those of the command line.

    Raises:
        OptionsError: a YAML file that is not right, or no such preset.
        SystemExit: 2 for a wrong usage, 0 after ``--help``.
    """
    given = with_yaml(TrainingOptions, arguments)
    return tyro.cli(TrainingOptions, prog=PROGRAM, description=__doc__, default=preset(value_of(given, PRESET) or "plain"), args=given)


def run_command(command: Export | Index, console: Console) -> int:
    """Do what was asked; its exit code."""
    if isinstance(command, Export):
        from training.export import export

        export(command.out, command.to, command.step, command.weights, command.from_checkpoint)
        console.print(f"{command.to}", markup=False)
    else:
        from training.data.build_index import build_index

        build_index(command.shards, command.out, console)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
