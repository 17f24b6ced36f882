"""The stage ``refine``: a multimodal model judges the anchors that select chose, and captions the clips.

Two steps, so that there is one way to a status. First the judge is asked (jobs.ask), character by character, and every verdict is kept.
Then, video by video, the rows of anchors and clips are computed from the verdicts that are there (jobs.apply).
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from jobs import ledger, parts, verdict_parts
from jobs.apply import NO_JUDGE, ApplyWork, Judge, RefineUnit
from jobs.ask import AskUnit, AskWork
from jobs.engine import SetupError, run_units
from jobs.failure_log import FailureLog
from jobs.ledger import DoneUnit
from jobs.stage import Job, StageSummary, run_stage
from pipeline.failures import InputError
from pipeline.refine.client import JudgeGone, served_model
from pipeline.refine.options import RefineOptions
from pipeline.refine.prompting import load_prompts
from pipeline.refine.redaction import NO_KEY
from pipeline.refine.serving import START
from pipeline.select.ranking import RankingOptions
from schemas import tables
from schemas.vocabulary import Stage

KEY_VARIABLE = "GLORIA_JUDGE_API_KEY"
"""Holds the server's API key. It reaches the workers in their memory alone: it stands in no table, log or run.json."""


@dataclass(frozen=True)
class Refined:
    """What refining did.

    Attributes:
        summary: as of every stage.
        waiting: what waits for a judge, why, and what to do; None when nothing does.
        unanswered: it waits because nobody answered, not because single answers were of no use.
    """

    summary: StageSummary
    waiting: str | None = None
    unanswered: bool = False


def refine(job: Job, options: RefineOptions, ranking: RankingOptions, last_model: str | None = None) -> Refined:
    """Have judged what is not judged yet by this model, with these prompts and options.

    Args:
        job: where.
        options: how.
        ranking: what select used.
        last_model: that judged before; its verdicts are used where no server is there to ask.

    Raises:
        SetupError: the servers' answer makes no sense for what was asked: another model, several models.
        InputError: the prompts cannot be read.
    """
    started = time.monotonic()
    selected = {unit.video_id: unit for unit in ledger.load(job.out, Stage.SELECT).values()}
    done = {unit.video_id: unit for unit in ledger.load(job.out, Stage.REFINE).values()}
    for video_id in sorted(set(done) - set(selected)):
        ledger.withdraw(job.out, Stage.REFINE, video_id)
    prompts, key = load_prompts(options.prompts), judge_key()
    served, missing = _find_judge(options, key)
    by = Judge(served or options.model or last_model or NO_JUDGE, prompts, options, ranking)
    waiting = {video_id: unit for video_id, unit in selected.items() if not _is_done(done.get(video_id), unit, by, can_ask=missing is None)}
    units = _units(job.out, waiting)
    summary = StageSummary(Stage.REFINE, skipped=len(selected) - len(units), config_hash=by.config_hash)
    log = FailureLog(job.out, Stage.REFINE, by.config_hash)
    if missing is None:
        summary.models = {"judge": by.model} | {f"prompt {kind}": f"{prompt.version} {prompt.hash}" for kind, prompt in prompts.items()}
        missing = _ask(job, by, key, units, log, summary)
    names = verdict_parts.names_by_video(job.out)
    units = [replace(unit, verdicts=tuple(names.get(unit.video_id, ()))) for unit in units]
    asked = time.monotonic()
    if summary.counts["questions"]:
        job.progress.say(_spent(by.model, summary.counts, asked - started))
    applied = run_stage(job, Stage.REFINE, ApplyWork(job.out, by), units, log, light=True)
    summary.done, summary.failed = applied.done, summary.failed + applied.failed
    summary.counts.update(applied.counts)
    summary.seconds |= {"ask": asked - started, "apply": time.monotonic() - asked}
    summary.wall_seconds = time.monotonic() - started
    return Refined(summary, *_waiting(job.out, missing))


def judge_key() -> str:
    """The server's API key, from the environment; NO_KEY without one.

    Raises:
        SetupError: it cannot be sent.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SetupError(f"{KEY_VARIABLE} must be one line of printable ASCII")
    return key or NO_KEY


def _find_judge(options: RefineOptions, key: str) -> tuple[str | None, str | None]:
    """The id of the model that is served, or why there is none."""
    if not options.server.urls:
        return None, f"no server was named (--refine.server.urls). {START}"
    try:
        return asyncio.run(served_model(options.server.urls, options.model, key, options.server)), None
    except JudgeGone as error:
        return None, str(error)
    except (InputError, ValueError) as error:
        raise SetupError(str(error)) from error


def _is_done(before: DoneUnit | None, selection: DoneUnit, by: Judge, can_ask: bool) -> bool:
    """Whether a video's rows are what they can be: what its verdicts make of them, and nothing left that could be asked."""
    if before is None or before.input_hash != ledger.content_hash(selection.fingerprint):
        return False
    return by.model == NO_JUDGE or (before.config_hash == by.config_hash and not (can_ask and before.counts["questions left"]))


def _units(out: str, selections: Mapping[str, DoneUnit]) -> list[RefineUnit]:
    def unit(selection: DoneUnit) -> RefineUnit:
        (video,) = parts.read_part(out, tables.VIDEOS, selection.video_id, ["uri", "width", "height"]).to_pylist()
        return RefineUnit(video["uri"], selection.video_id, video["width"], video["height"], selection, ledger.content_hash(selection.fingerprint))

    with ThreadPoolExecutor(parts.READERS) as pool:
        return list(pool.map(unit, (selections[video_id] for video_id in sorted(selections))))


def _characters(out: str, units: Sequence[RefineUnit]) -> list[AskUnit]:
    """The characters of some videos, with the names of the parts that hold what is known about them."""
    names = verdict_parts.names_by_video(out)
    rows = parts.read_parts(out, tables.CHARACTERS, [unit.video_id for unit in units], ["character_id", "video_id"]).to_pylist()
    by_id = {unit.video_id: unit for unit in units}
    found = []
    for row in rows:
        unit = by_id[row["video_id"]]
        found.append(AskUnit(unit.source, unit.video_id, row["character_id"], unit.width, unit.height, tuple(names.get(unit.video_id, ()))))
    return found


def _ask(job: Job, by: Judge, key: str, units: Sequence[RefineUnit], log: FailureLog, summary: StageSummary) -> str | None:
    """Ask about every character of some videos; why it ended before its time, if it did."""
    characters = _characters(job.out, units)
    videos, sources = {unit.video_id for unit in units}, {unit.source for unit in characters}
    log.clear_where(lambda source, video_id: video_id in videos and source not in sources)
    if not characters:
        return None
    with job.progress.stage("ask", len(characters)) as progress:
        for outcome in run_units(AskWork(job.out, by.options, by.ranking, by.model, by.prompts, key), characters, job.engine):
            asked, error = outcome.result, outcome.error
            if asked is not None:
                summary.counts.update(asked.counts)
                if asked.gone is not None:
                    job.progress.say(asked.gone)
                    return asked.gone
                error = asked.unreadable
            if error is None:
                log.clear(outcome.unit.source)
            else:
                log.record(outcome.unit.source, error, outcome.attempts, outcome.unit.video_id)
                job.progress.say(f"{Stage.REFINE} failed: {outcome.unit.source}: {error}")
                summary.failed += 1
            progress.advance(failed=error is not None)
    return None


def _spent(model: str, counts: Counter[str], seconds: float) -> str:
    """What asking cost."""
    numbers = ", ".join(f"{counts[name]:,} {name}" for name in ("questions", "answers", "requests", "prompt tokens", "completion tokens"))
    return f"asked {model}: {numbers}; {counts['questions'] / seconds:.1f} questions per second"


def _waiting(out: str, missing: str | None) -> tuple[str | None, bool]:
    """What waits for a judge below an output root and what to do about it, None when nothing does; and whether it is for want of a judge."""
    counts: Counter[str] = Counter()
    for unit in ledger.load(out, Stage.REFINE).values():
        counts.update({name: unit.counts[name] for name in ("anchors", "pending", "captions pending", "questions left")})
    if not (counts["pending"] or counts["captions pending"] or counts["questions left"]):
        return None, False
    why = missing or "no usable answer came, see the columns problem and message of the verdicts table."
    what = f"{counts['pending']} anchors and the captions of {counts['captions pending']} clips wait for a judge"
    then = "When it is there: refine, pack and report (or run) with the same --out. --pack.include-pending packs unjudged anchors."
    unanswered = bool(counts["questions left"]) or not counts["anchors"]
    return f"{what}: {why}\n{then}", unanswered
