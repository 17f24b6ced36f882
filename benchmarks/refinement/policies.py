"""Ways to spend questions, compared: the pipeline's own, parts of it, and asking about every face that may be an anchor."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from benchmarks.refinement.outcomes import Outcome, count
from benchmarks.refinement.pools import SECONDS_APART, Pool
from pipeline.failures import InputError
from pipeline.refine.asking import ask_character
from pipeline.refine.candidates import Candidates
from pipeline.refine.client import JudgeClient, JudgeGone
from pipeline.refine.judging import Case, judge
from pipeline.refine.options import PolicyOptions, RefineOptions
from pipeline.refine.questions import Picture
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions, rank
from pipeline.select.reasons import Reasons
from schemas.tables import CLIPS
from schemas.vocabulary import AnchorKind, RejectReason

SIDE = 448
"""Pixels of the frames that the faces are said to come from; the judge gets the pictures as they are."""


@dataclass(frozen=True)
class Policy:
    """A way to spend questions.

    Attributes:
        name: for people.
        options: of the pipeline's policy.
        asks_everything: ask about every candidate once, then take the best of those that the judge confirms.
    """

    name: str
    options: PolicyOptions = field(default_factory=PolicyOptions)
    asks_everything: bool = False


OURS = Policy("the policy")
NO_RELABELLING = Policy("without relabelling", PolicyOptions(relabel_below=0.0))
SURE_ALONE = Policy("sure faces alone", PolicyOptions(least_confidence=1.0))
EVERYTHING = Policy("asking everything", PolicyOptions(relabel_below=0.0), asks_everything=True)
POLICIES = (OURS, NO_RELABELLING, SURE_ALONE, EVERYTHING)


@dataclass(frozen=True)
class LabelledPictures:
    """Stands where the frames of a video do: the time of a picture is its number in the set.

    Attributes:
        of_set: JPEGs in the order of the labels.
    """

    of_set: Sequence[bytes]

    def jpegs(self, pictures: Collection[Picture]) -> dict[Picture, bytes | InputError]:
        """The pictures as they are; their region is all of them."""
        return {picture: self.of_set[picture.pts_ns // (SECONDS_APART * 10**9)] for picture in pictures}


@dataclass(frozen=True)
class Refined:
    """What came of characters, and the verdicts in the order in which they came."""

    outcome: Outcome
    verdicts: list[Verdict]


async def refine(pool: Pool, pictures: LabelledPictures, client: JudgeClient, policy: Policy) -> Refined:
    """Refine one character from scratch."""
    case = Case(pool.anchors, CLIPS.empty(), SIDE, SIDE)
    ranking = RankingOptions(expression_anchors=len(pool.anchors)) if policy.asks_everything else RankingOptions()
    options = RefineOptions(policy=policy.options)
    verdicts: list[Verdict] = []
    asked = await ask_character(case, pictures, client, {}, options, ranking, verdicts.append)
    if asked.gone is not None:
        raise JudgeGone(asked.gone)
    if policy.asks_everything:
        chosen = confirmed_best(pool.anchors, {verdict.subject: verdict.named for verdict in verdicts}, policy.options, RankingOptions())
        right = sum(pool.truth[name] == word for name, word in chosen)
        return Refined(Outcome(right=right, filled=len(chosen), questions=len(verdicts), characters=1), verdicts)
    known = {verdict.verdict_id: verdict for verdict in verdicts}
    judgement = judge(case, lambda question: known.get(client.verdict_id(question)), options.policy, options.pictures, ranking)
    return Refined(count(judgement.anchors, pool.truth, len(verdicts)), verdicts)


def confirmed_best(anchors: pa.Table, named: Mapping[str, str | None], options: PolicyOptions, ranking: RankingOptions) -> list[tuple[str, str]]:
    """The best candidates of each bin among those whose class the judge confirms: anchor_id and class.

    Args:
        anchors: of one character, all of whose candidates were asked about.
        named: the class that the judge names, by anchor_id.
        options: who is a candidate.
        ranking: how many of each bin.
    """
    candidates = Candidates.of_kind(anchors, AnchorKind.EXPRESSION, options)
    names = [anchors["anchor_id"][row].as_py() for row in candidates.rows.tolist()]
    words = [candidates.classes[code] for code in candidates.bins.tolist()]
    refused = Reasons(len(names))
    refused.add(np.array([named[name] != word for name, word in zip(names, words, strict=True)], bool), RejectReason.JUDGED_ANOTHER_CLASS)
    ranks = rank(candidates.bins, candidates.scores, candidates.pts_ns, candidates.shots, ranking.expression_anchors, refused, ranking)
    return [(names[number], words[number]) for number in np.flatnonzero(ranks >= 0)]
