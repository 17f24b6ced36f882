"""The commands that work on an output root: which stages each runs, with one record, one progress display and one summary at the end."""

import os
from collections.abc import Iterator, Sequence

from rich.console import Console

from jobs import ledger
from jobs.engine import SetupError
from jobs.inputs import Inputs, find_inputs
from jobs.lease import leased
from jobs.observe import observe
from jobs.options import Anchors, Assets, Command, Encode, Observe, Pack, Refine, Report, Run, Select
from jobs.pack import pack
from jobs.pack_check import check
from jobs.progress import Progress
from jobs.report import report
from jobs.run_record import PRODUCTS, RunRecord
from jobs.select import select
from jobs.stage import Job, StageSummary
from jobs.summary import print_summary, selection_hash, totals
from pipeline import storage
from pipeline.refine.prompting import load_prompts
from schemas.vocabulary import Stage
from schemas.yaml_options import OptionsError

Work = Run | Observe | Select | Refine | Pack | Report
"""Commands that work on an output root."""

MINIMUM_WIDTH = 120
"""Characters; a log or a narrow window would fold the summary into ribbons."""

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray inside a submitted job, which runs in a copy of the working directory that is thrown away."""


def execute(command: Command, arguments: Sequence[str]) -> int:
    """Run a command on its output root; its exit code.

    Raises:
        OptionsError: the output root cannot be meant.
        LeaseError: another job writes into the output root.
        SetupError: a stage cannot start.
        InputError: the output root cannot be written.
    """
    assert not isinstance(command, Assets | Anchors | Encode)
    out = output_root(command.out)
    job = Job(out, command.engine, Progress())
    if isinstance(command, Pack) and command.check:
        return _check(job)
    with leased(out, type(command).__name__.lower()):
        storage.remove_leftovers(out)
        code = _run(job, command, arguments)
        storage.remove_leftovers(out)  # workers of a job that was killed live on for a moment, and may have begun a file since
        return code


def _run(job: Job, command: Work, arguments: Sequence[str]) -> int:
    record = RunRecord(job.out, command, arguments)
    summaries: list[StageSummary] = []
    notes: list[str] = []
    try:
        summaries.extend(_stages(job, command, record, notes))
    except KeyboardInterrupt:
        record.finish("stopped", summaries, {})
        raise
    except BaseException:
        record.finish("failed", summaries, {})
        raise
    selected, refined = (list(ledger.load(job.out, stage).values()) for stage in (Stage.SELECT, Stage.REFINE))
    held, selection = totals(job.out, selected, refined), selection_hash(selected, refined)
    record.finish("finished", summaries, held, selection)
    if behind := record.behind(selection):
        products = " and ".join(PRODUCTS[stage] for stage in behind)
        before = [Stage.SELECT] if isinstance(command, Observe) else []
        judged = [Stage.REFINE] if isinstance(command, Observe | Select) and Stage.REFINE in record.content["provenance"] else []
        *first, last = [*before, *judged, *behind]
        commands = f"{', '.join(first)} and {last}" if first else last
        notes.append(f"{products} {'are' if products != 'report' else 'is'} of an earlier selection: run {commands}")
    print_summary(Console(width=max(Console().width, MINIMUM_WIDTH)), summaries, held, notes)
    return _exit_code(job.progress, summaries, bool(notes))


def _stages(job: Job, command: Work, record: RunRecord, notes: list[str]) -> Iterator[StageSummary]:
    """Do the stages of a command; what people should know about the output is added to the notes."""
    if isinstance(command, Run | Refine):
        load_prompts(command.refine.prompts)  # what is wrong with them is better known before hours of work than after
    if isinstance(command, Run | Observe):
        inputs = find_inputs(command.videos)
        _tell(job, inputs)
        record.begin(Stage.OBSERVE)
        yield from observe(job, inputs, command.observe, command.perception, command.segment_minutes)
    if isinstance(command, Run | Select):
        if differences := record.begin(Stage.SELECT):
            notes.append("options that differ from those of the selection before:\n  " + "\n  ".join(differences))
        yield select(job, command.select)
    if isinstance(command, Run | Refine):
        from jobs.refine import refine  # the client of language models takes a second to import, and other commands do without

        ranking = record.ranking()
        record.begin(Stage.REFINE)
        refined = refine(job, command.refine, ranking, record.content["models"].get("judge"))
        yield refined.summary
        if refined.waiting is not None and refined.unanswered and command.require_refine:
            raise SetupError(refined.waiting)
        notes.extend([refined.waiting] if refined.waiting is not None else [])
    if isinstance(command, Run | Pack):
        record.begin(Stage.PACK)
        yield pack(job, command.pack)
    if isinstance(command, Run | Report):
        record.begin(Stage.REPORT)
        yield report(job, command.report)


def _tell(job: Job, inputs: Inputs) -> None:
    """What was found, as far as it may surprise."""
    for copy, original in inputs.copies.items():
        job.progress.say(f"{copy} has the same content as {original}: done once")
    for source, error in inputs.failures.items():
        job.progress.say(f"plan failed: {source}: {error}")


def output_root(out: str) -> str:
    """The output root that ``--out`` stands for; raises OptionsError when it would be lost."""
    if JOB_VARIABLE in os.environ and (path := storage.local_path(out)) is not None and not path.is_absolute():
        raise OptionsError(f"--out {out}: inside a submitted job a relative path is lost with the job's working directory; give an absolute path or a URL")
    return storage.absolute(out)


def _check(job: Job) -> int:
    problems = check(job)
    for problem in problems:
        job.progress.say(problem)
    return 1 if problems else 0


def _exit_code(progress: Progress, summaries: Sequence[StageSummary], noted: bool = False) -> int:
    done = sum(summary.done for summary in summaries if summary.stage is not Stage.PLAN)
    skipped, failed = sum(summary.skipped for summary in summaries), sum(summary.failed for summary in summaries)
    failures = f"{failed} failed, see the failures table"
    if done:
        return 0
    if skipped:
        if failed:
            progress.say(f"nothing new was done: {failures}; the rest was done before")
        elif not noted:
            progress.say("nothing to do: everything is done already")
        return 0
    progress.say(f"nothing could be done: {failures}" if failed else "nothing to do: no videos were found")
    return 1 if failed else 0
