"""Proof that the sweep, which goes without a network, is what a server would have given: the same questions over HTTP, verdict by verdict."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.refinement.judge import SimulatedJudge
from benchmarks.refinement.policies import Policy, Refined
from benchmarks.refinement.server import serving
from benchmarks.refinement.sets import JudgedSet
from benchmarks.refinement.sweep import judged_directly, refine_all
from pipeline.refine.client import JudgeClient, served_model
from pipeline.refine.options import PictureOptions, ServerOptions
from pipeline.refine.prompting import load_prompts
from pipeline.refine.redaction import NO_KEY
from pipeline.refine.verdicts import Verdict

OF_THE_WIRE = frozenset({"answer", "finish_reason", "prompt_tokens", "completion_tokens", "latency_seconds", "answered_at"})
"""What a verdict has from the server beside what it says."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared.

    Attributes:
        questions: verdicts compared.
        requests: seen by the server.
        seconds: that these took.
        is_equal: every verdict and every outcome is the same with and without the network.
    """

    questions: int
    requests: int
    seconds: float
    is_equal: bool


def compare(set_: JudgedSet, judge: SimulatedJudge, policies: Sequence[Policy]) -> Proof:
    """Refine a set both ways, by each policy anew."""
    with serving(judge) as server:
        start = time.perf_counter()
        over_http = asyncio.run(judged_over_http(set_, judge.seed, policies, server.url))
        seconds = time.perf_counter() - start
    directly = asyncio.run(judged_directly(set_, judge, policies))
    is_equal = all(one.outcome == other.outcome and said(one.verdicts) == said(other.verdicts) for one, other in zip(over_http, directly, strict=True))
    return Proof(sum(len(refined.verdicts) for refined in over_http), server.requests, seconds, is_equal)


async def judged_over_http(set_: JudgedSet, seed: int, policies: Iterable[Policy], url: str) -> list[Refined]:
    """A set judged by whoever is at an address, anew by each policy."""
    server = ServerOptions(urls=(url,))
    model = await served_model(server.urls, None, NO_KEY, server)
    client = JudgeClient(model, load_prompts(), server, PictureOptions(), NO_KEY)
    try:
        return [await refine_all(set_, seed, client, policy) for policy in policies]
    finally:
        await client.close()


def said(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Any]]:
    """Verdicts by id, without what only a server can add."""
    return {verdict.verdict_id: {name: value for name, value in asdict(verdict).items() if name not in OF_THE_WIRE} for verdict in verdicts}
