"""The judging of one character: what is to be asked now, and what becomes of everything, given the verdicts that are known.

First the global anchors, because the best of them is the reference that tells in every other question who the character is. Then views,
expressions and captions. It is a pure function of select's rows and the verdicts: ask what is open, judge again, until nothing is open.
The order in which verdicts come has no influence, and what is open once is asked in any case, whatever the others answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.crops import centred_square
from pipeline.refine.bins import Bins, fill_bins
from pipeline.refine.candidates import Candidates
from pipeline.refine.captions import caption_question, judged_clips, selected_clips
from pipeline.refine.decisions import Ruling, decide
from pipeline.refine.fates import find_fates, with_fates
from pipeline.refine.options import PictureOptions, PolicyOptions
from pipeline.refine.questions import Picture, Question
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions
from schemas.vocabulary import AnchorKind, QuestionKind, Status

Known = Callable[[Question], Verdict | None]


@dataclass(frozen=True)
class Case:
    """Everything about one character that judging needs.

    Attributes:
        candidates: all of its rows of the anchors table, judged before or not.
        clips: all of its rows of the clips table, likewise.
        width: of the video's displayed frame, pixels.
        height: likewise.

    Raises:
        ValueError: the rows are of more than one character.
    """

    candidates: pa.Table
    clips: pa.Table
    width: int
    height: int

    def __post_init__(self) -> None:
        names = {name for table in (self.candidates, self.clips) for name in pc.unique(table["character_id"]).to_pylist()}
        if len(names) > 1:
            raise ValueError(f"judging takes one character at a time, but the rows are of {', '.join(sorted(map(str, names)))}")

    def picture(self, row: int, kind: AnchorKind) -> Picture:
        """What is shown of a candidate; of a global anchor the upper body, because in a whole frame the face is small."""
        shown = AnchorKind.VIEWPOINT if kind is AnchorKind.GLOBAL else kind
        face_box, body_box = (self.candidates[name][row].as_py() for name in ("face_box", "body_box"))
        return Picture(self.candidates["pts_ns"][row].as_py(), centred_square(shown, face_box, body_box, self.width, self.height))

    def question(self, row: int, kind: AnchorKind, stated: str, reference: Picture | None) -> Question:
        """What is asked about a candidate; with a reference also whether it is the same person."""
        shown = self.picture(row, kind)
        return Question(
            kind=QuestionKind(kind.word),
            video_id=self.candidates["video_id"][row].as_py(),
            character_id=self.candidates["character_id"][row].as_py(),
            subject=self.candidates["anchor_id"][row].as_py(),
            stated=stated,
            pictures=(shown,) if reference is None else (reference, shown),
            has_reference=reference is not None,
        )


@dataclass(frozen=True)
class Judgement:
    """What is to be asked, and how things stand.

    Attributes:
        open: questions whose answers are not known and wanted now.
        anchors: the case's candidates in their order, with status, reason, rank, subclass, decision and verdict_id.
        clips: the case's clips in their order, with status, reason, caption, verdict_id and the numbers of anchors.
    """

    open: list[Question]
    anchors: pa.Table
    clips: pa.Table


def judge(case: Case, known: Known, policy: PolicyOptions, pictures: PictureOptions, ranking: RankingOptions) -> Judgement:
    """Judge one character.

    Args:
        case: the character.
        known: the verdict on a question, None where there is none.
        policy: who is asked about, and what is made of the answers.
        pictures: how many frames of a clip.
        ranking: with which select ranked.
    """
    scene, waiting = _judge_kind(case, AnchorKind.GLOBAL, None, known, policy, ranking)
    reference = _reference(case, scene)
    kinds = [scene]
    for kind in (AnchorKind.VIEWPOINT, AnchorKind.EXPRESSION):
        bins, questions = _judge_kind(case, kind, reference, _nobody if scene.open else known, policy, ranking)
        kinds.append(bins)
        waiting += [] if scene.open else questions
    fates = {row: fate for bins in kinds for row, fate in find_fates(bins, case.candidates).items()}
    anchors = with_fates(case.candidates, fates)
    captions: dict[int, Verdict] = {}
    if not scene.open and _clips_are_wanted(case, kinds):
        captions, questions = _caption(case, reference, known, pictures)
        waiting += questions
    return Judgement(waiting, anchors, judged_clips(case.clips, anchors, captions))


def _judge_kind(
    case: Case, kind: AnchorKind, reference: Picture | None, known: Known, policy: PolicyOptions, ranking: RankingOptions
) -> tuple[Bins, list[Question]]:
    """The bins of a kind, as far as verdicts are known, and the questions that are open."""
    candidates = Candidates.of_kind(case.candidates, kind, policy)
    quotas = {AnchorKind.GLOBAL: ranking.global_anchors, AnchorKind.VIEWPOINT: ranking.viewpoint_anchors, AnchorKind.EXPRESSION: ranking.expression_anchors}

    def question(number: int) -> Question:
        return case.question(int(candidates.rows[number]), kind, candidates.classes[candidates.bins[number]], reference)

    def answer(number: int) -> Ruling | None:
        verdict = known(question(number))
        return None if verdict is None else decide(verdict, policy, may_move=not np.isnan(candidates.scores_elsewhere[number]))

    bins = fill_bins(candidates, quotas[kind], policy.questions_per_anchor, ranking, answer)
    return bins, [question(number) for number in bins.open]


def _nobody(_: Question) -> None:
    """Knows nothing: questions that show the reference wait until that is decided."""


def _reference(case: Case, scene: Bins) -> Picture | None:
    """The best global anchor; accepted ones come before pending ones."""
    best = np.flatnonzero(scene.places == 0)
    return case.picture(int(scene.candidates.rows[best[0]]), AnchorKind.GLOBAL) if len(best) else None


def _clips_are_wanted(case: Case, kinds: list[Bins]) -> bool:
    """Whether clips can be asked about already: as soon as it is sure that the character keeps an anchor, if it had one at all.

    Then it no longer matters what else is answered; a caption of a clip that is rejected in the end would be a waste.
    """
    had = bool(pc.any(pc.equal(case.candidates["selected_status"].cast(pa.string()), Status.ACCEPTED)).as_py())
    return not had or any(bins.keeps_one for bins in kinds)


def _caption(case: Case, reference: Picture | None, known: Known, pictures: PictureOptions) -> tuple[dict[int, Verdict], list[Question]]:
    """The verdicts on clips by their row, and the questions that are open."""
    verdicts, waiting = {}, []
    rows = selected_clips(case.clips)
    for row, clip in zip(rows.tolist(), case.clips.take(pa.array(rows)).to_pylist(), strict=True):
        question = caption_question(clip, reference, case.width, case.height, pictures.caption_frames)
        verdict = known(question)
        if verdict is None:
            waiting.append(question)
        else:
            verdicts[row] = verdict
    return verdicts, waiting
