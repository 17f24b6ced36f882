"""Every set, kind of error, accuracy and policy, over several seeds: a seed says what the judge errs about and which faces go together."""

import asyncio
import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.refinement.direct import DirectClient
from benchmarks.refinement.judge import Errors, SimulatedJudge
from benchmarks.refinement.outcomes import Outcome, total
from benchmarks.refinement.policies import POLICIES, Policy, Refined, refine
from benchmarks.refinement.pools import split
from benchmarks.refinement.sets import JudgedSet
from pipeline.refine.client import JudgeClient
from pipeline.refine.prompting import load_prompts

ACCURACIES = tuple(percent / 100 for percent in range(60, 101, 5))
NAMES = [policy.name for policy in POLICIES]


@dataclass(frozen=True)
class Curve:
    """One policy over the judge's accuracy.

    Attributes:
        set: the labelled set's folder.
        errors: how the judge errs.
        policy: its name.
        outcomes: by accuracy, ascending; one per seed, over all characters of the set.
    """

    set: str
    errors: Errors
    policy: str
    outcomes: Mapping[float, Sequence[Outcome]]

    @property
    def accuracies(self) -> list[float]:
        """Of the judges, ascending."""
        return list(self.outcomes)

    @property
    def totals(self) -> list[Outcome]:
        """Of each accuracy, all seeds together."""
        return [total(outcomes) for outcomes in self.outcomes.values()]


def sweep(sets: Sequence[JudgedSet], seeds: int, accuracies: Sequence[float] = ACCURACIES, workers: int = 1) -> Iterator[Curve]:
    """The curves of all policies, asked without a network; set by set, errors by errors.

    Args:
        sets: the labelled sets.
        seeds: how many; they are 0, 1, ...
        accuracies: of the judges, ascending.
        workers: processes.
    """
    tasks = [(set_, errors, accuracy, seeds) for set_ in sets for errors in Errors for accuracy in accuracies]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:  # models were loaded here: their threads do not survive a fork
        found = iter(processes.map(_judged, tasks) if workers > 1 else map(_judged, tasks))
        for set_ in sets:
            for errors in Errors:
                of_judges = {accuracy: next(found) for accuracy in accuracies}
                yield from (Curve(set_.name, errors, policy, {accuracy: of_judges[accuracy][policy] for accuracy in accuracies}) for policy in NAMES)


def _judged(task: tuple[JudgedSet, Errors, float, int]) -> dict[str, list[Outcome]]:
    """Of each policy one outcome per seed."""
    set_, errors, accuracy, seeds = task
    judges = [SimulatedJudge(set_.truth, accuracy, errors, seed) for seed in range(seeds)]
    found = [asyncio.run(judged_directly(set_, judge, POLICIES)) for judge in judges]
    return {policy: [of_seed[number].outcome for of_seed in found] for number, policy in enumerate(NAMES)}


async def judged_directly(set_: JudgedSet, judge: SimulatedJudge, policies: Iterable[Policy]) -> list[Refined]:
    """A set judged without a network, anew by each policy."""
    client = DirectClient(judge, load_prompts())
    try:
        return [await refine_all(set_, judge.seed, client, policy) for policy in policies]
    finally:
        await client.close()


async def refine_all(set_: JudgedSet, seed: int, client: JudgeClient, policy: Policy) -> Refined:
    """All characters of a set, one after another."""
    found = [await refine(pool, set_.pictures, client, policy) for pool in split(set_.name, set_.candidates, seed)]
    return Refined(total([one.outcome for one in found]), [verdict for one in found for verdict in one.verdicts])
