"""The command ``encode``: shards to shards that carry latents and embeddings, for a training that then need not compute them.

It goes the way of ``pack``: every sample that no shard of the output holds yet is encoded and staged as a file of its own, then the shards are
put together. So a job that is killed has nothing to do twice and ends with the same bytes, whichever worker did what. What is wanted is told by
a hash of the sample, of the networks and of how they are used: another checkpoint, or another area, encodes anew.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from jobs import parts
from jobs.encode_inputs import InputSample, input_folder, read_inputs
from jobs.encode_work import EncodeWork, KeyWork, Recipe, units_of
from jobs.engine import EngineOptions, SetupError, knows_cluster, run_units
from jobs.failure_log import FailureLog
from jobs.lease import leased
from jobs.ledger import content_hash
from jobs.options import Encode
from jobs.placement import place
from jobs.progress import Progress
from jobs.run import MINIMUM_WIDTH, output_root
from jobs.run_record import RunRecord
from jobs.shard_update import Filling, PresentShards, present_shards, update_shards
from jobs.stage import Job, StageSummary
from jobs.staging import stage_samples
from jobs.summary import print_summary
from pipeline import storage
from pipeline.pack import shards as shard_files
from schemas.latents import INDEX_METADATA, LatentsKey
from schemas.tables import FAILURES, UNITS
from schemas.vocabulary import Stage
from schemas.yaml_options import OptionsError

SAMPLES_PER_UNIT = 4
"""Few, because each takes seconds: all workers have something to do until the end."""


def execute_encode(command: Encode, arguments: Sequence[str]) -> int:
    """Run the command; its exit code.

    Raises:
        OptionsError: the shards cannot be read, or the output root cannot be meant.
        LeaseError: another job writes into the output root.
        SetupError: there is no such checkpoint, or no worker could be started.
        InputError: the storage failed.
    """
    out = output_root(command.out)
    samples = read_inputs(command.shards)
    check_out(out, command.shards)
    job = Job(out, command.engine, Progress())
    with leased(out, "encode"):
        storage.remove_leftovers(out)
        record = RunRecord(out, command, arguments)
        try:
            record.begin(Stage.ENCODE)
            summary = encode(job, command, samples)
        except BaseException as error:
            record.finish("stopped" if isinstance(error, KeyboardInterrupt) else "failed", [], {})
            raise
        held = _held(out, summary)
        record.finish("finished", [summary], held)
        storage.remove_leftovers(out)  # workers of a job that was killed live on for a moment, and may have begun a file since
    print_summary(Console(width=max(Console().width, MINIMUM_WIDTH)), [summary], held)
    return _exit_code(job, summary)


def check_out(out: str, shards: Sequence[str]) -> None:
    """Check that shards may be written below an output root.

    Raises:
        OptionsError: they are those that are read, or those of another command.
    """
    target = storage.join(out, shard_files.FOLDER)
    for url in shards:
        if _resolved(input_folder(url)) in (_resolved(out), _resolved(target)):
            raise OptionsError(f"--out {out}: its shards are those that are to be read (--shards {url}); give another folder")
    try:
        notes = shard_files.index_notes(target)
    except pa.ArrowException as error:
        raise OptionsError(f"--out {out}: the index of its shards is damaged ({error}); remove {target}, or give another folder") from error
    if (notes and INDEX_METADATA not in notes) or parts.part_names(out, UNITS):
        raise OptionsError(f"--out {out} is the output root of other commands, whose shards would be replaced; give another folder")


def encode(job: Job, command: Encode, samples: Sequence[InputSample]) -> StageSummary:
    """Bring the shards below an output root in line with the samples of other shards.

    Returns:
        ``done`` samples were encoded, ``skipped`` ones had been before, ``failed`` ones have a row in failures (their source is the key).

    Raises:
        SetupError: there is no such checkpoint, or no worker could be started.
        InputError: the storage failed while shards were put together; what was staged is used by the next run.
    """
    started = time.monotonic()
    checkpoint, shards = str(Path(command.checkpoint).expanduser().absolute()), storage.join(job.out, shard_files.FOLDER)
    recipe = Recipe(read_key(checkpoint, command.area, job.engine), command.dtype, command.keep_pixels)
    read_seconds = time.monotonic() - started
    wanted = {sample.key: recipe.sample_hash(sample) for sample in samples}
    present = present_shards(shards)
    held = present.samples()
    missing = [sample for sample in samples if (sample.key, wanted[sample.key]) not in held]
    _tell(job, shards, present, wanted, recipe)
    log = FailureLog(job.out, Stage.ENCODE, content_hash(asdict(recipe)))
    log.clear_where(lambda source, _: source not in wanted)
    summary = StageSummary(Stage.ENCODE, models={name: value for name, value in asdict(recipe.key).items() if isinstance(value, str)})
    pieces = []
    if missing:
        units = units_of(missing, SAMPLES_PER_UNIT)
        engine, device = place(job.engine, command.device, len(units))
        work = EncodeWork(shards, checkpoint, recipe, device)
        pieces = stage_samples(replace(job, engine=engine), work, units, len(missing), sum(sample.seconds for sample in missing), log, summary)
    filling = Filling(command.shard_bytes, command.seed, {INDEX_METADATA: recipe.key.to_json().encode()})
    update_shards(job, shards, present, wanted, pieces, filling, summary)
    summary.skipped = len(wanted) - summary.done - summary.failed
    summary.seconds["networks"] = read_seconds
    summary.wall_seconds = time.monotonic() - started
    return summary


def read_key(checkpoint: str, area: int | None, engine: EngineOptions) -> LatentsKey:
    """The key of the latents of a checkpoint; read on a worker, where there is a cluster: its weights may not be here, nor memory for them.

    Raises:
        SetupError: there is no such checkpoint.
    """
    (outcome,) = run_units(KeyWork(area), [checkpoint], engine if knows_cluster(engine) else EngineOptions(engine="local"))
    if outcome.result is None:
        raise SetupError(str(outcome.error)) from outcome.error
    return outcome.result


def _tell(job: Job, shards: str, present: PresentShards, wanted: dict[str, str], recipe: Recipe) -> None:
    """What becomes of what is there, as far as it may surprise."""
    gone = [row for row in present.rows if row["key"] not in wanted]
    if gone:
        job.progress.say(f"{len(gone)} samples in {shards} are not in --shards, {gone[0]['key']} for one: they go")
    stale = sum(row["key"] in wanted and wanted[row["key"]] != row["sample_hash"] for row in present.rows)
    if stale:
        before = LatentsKey.from_json(shard_files.index_notes(shards)[INDEX_METADATA])
        reason = ", ".join(before.differences(recipe.key)) or "other samples, --dtype or --keep-pixels"
        job.progress.say(f"{stale} samples in {shards} are encoded anew: {reason}")


def _held(out: str, summary: StageSummary) -> dict[str, object]:
    """What the output root holds, for people and for run.json."""
    failed = parts.part_names(out, FAILURES)
    number = summary.counts["shards kept"] + summary.counts["shards written"]
    return {"samples": summary.counts["samples"], "shards": number, "in": storage.join(out, shard_files.FOLDER), "failures": len(failed)}


def _exit_code(job: Job, summary: StageSummary) -> int:
    failures = f"{summary.failed} samples cannot be encoded, see {storage.join(job.out, 'failures')}"
    if summary.done:
        return 0
    if summary.failed:
        job.progress.say(f"nothing new was encoded: {failures}" if summary.skipped else f"nothing could be encoded: {failures}")
        return 0 if summary.skipped else 1
    job.progress.say("nothing to do: everything is encoded already" if summary.skipped else "nothing to do: --shards hold no samples")
    return 0


def _resolved(uri: str) -> str:
    path = storage.local_path(uri)
    return uri.rstrip("/") if path is None else str(path.resolve())
