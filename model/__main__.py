"""The command line: ``python -m model generate | init | export | attention``.

Exit codes: 0 done, 1 an input does not fit (the message says which and what to do), 2 wrong usage, 130 stopped by a signal.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import tyro
from rich.console import Console

from model.errors import ModelInputError
from model.generate.options import COMMANDS, Attention, Command, Generate, Init
from model.new_folder import new_folder

PROGRAM = "python -m model"
FAILED, STOPPED = 1, 130
KEPT = "; chunks that are finished are kept, the same command goes on after them"


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit code."""
    console = Console(stderr=True, soft_wrap=True)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    name, *rest = [*arguments] or [""]
    try:
        if name not in COMMANDS:  # help, or a wrong name
            tyro.cli(Command, prog=PROGRAM, description=__doc__, args=list(arguments))
        run(tyro.cli(COMMANDS[name], prog=f"{PROGRAM} {name}", args=rest), console)
    except ModelInputError as error:
        console.print(f"{error}", style="red", markup=False)
        return FAILED
    except KeyboardInterrupt:
        console.print(f"stopped{KEPT if name == 'generate' else ''}", markup=False)
        return STOPPED
    return 0


def run(command: Command, console: Console) -> None:
    """Do what was asked. Heavy imports wait until something is to be done, so that --help is quick."""
    if isinstance(command, Attention):
        draw(command, console)
        return
    quieten()
    if isinstance(command, Generate):
        from model.generate.run import generate

        generate(command, console)
    elif isinstance(command, Init):
        with new_folder(command.out):
            from model.create import create

            create(command.preset, command.stock, command.seed, command.wav2vec2).save(command.out)
        console.print(f"{command.out}: {command.preset}", markup=False)
    else:
        with new_folder(command.out):
            from model.checkpoint import load_transformer, stock_transformer

            stock_transformer(load_transformer(command.checkpoint / "transformer", None)).save_pretrained(command.out)
        console.print(f"{command.out}: a WanTransformer3DModel for stock diffusers", markup=False)


def quieten() -> None:
    """What diffusers and transformers say while they load (progress bars, advice to install more) is not meant for those who make videos."""
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def draw(command: Attention, console: Console) -> None:
    """The picture of a record of attention."""
    from model.attention_log import NAME
    from model.attention_plot import draw as draw_record

    record = command.record / NAME if command.record.is_dir() else command.record
    out = command.out or record.with_suffix(".png")
    try:
        if command.out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
        draw_record(record, out)
    except OSError as error:
        raise ModelInputError(f"{error.filename or out} cannot be read or written ({error.strerror}); choose another file with --out") from error
    console.print(f"{out}", markup=False)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
