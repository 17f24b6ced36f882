"""What verdicts make of a video's anchors and clips: computed from what select said and from the verdicts that are there.

It is the same after a whole job, after one that was killed, and where no judge was ever reached: what select chose is left pending then.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs import ledger, parts, verdict_parts
from jobs.engine import Stateless
from jobs.ledger import DoneUnit
from jobs.stage import UnitResult
from pipeline.refine.judging import Case, judge
from pipeline.refine.options import RefineOptions
from pipeline.refine.prompting import Prompt
from pipeline.refine.questions import Question, verdict_id
from pipeline.refine.verdicts import Verdict
from pipeline.select.counts import count_selection
from pipeline.select.ranking import RankingOptions
from schemas import tables
from schemas.vocabulary import QuestionKind, Stage, Status

NO_JUDGE = ""
"""The model's id where no judge was reached."""


@dataclass(frozen=True)
class Judge:
    """Who judges, by what is known of it.

    Attributes:
        model: id as the server reports it, NO_JUDGE when there is none.
        prompts: how questions are put.
        options: see there.
        ranking: how many anchors of each bin are wanted, and how far apart: what select used.
    """

    model: str
    prompts: dict[QuestionKind, Prompt]
    options: RefineOptions
    ranking: RankingOptions

    @property
    def config_hash(self) -> str:
        """Hash of everything that decides what is asked and what becomes of the answers."""
        content = {"pictures": asdict(self.options.pictures), "policy": asdict(self.options.policy), "ranking": asdict(self.ranking)}
        return ledger.config_hash(Stage.REFINE, content | {"model": self.model, "prompts": {kind: prompt.hash for kind, prompt in self.prompts.items()}})

    def verdict_on(self, question: Question, known: Mapping[str, Verdict]) -> Verdict | None:
        """The verdict on a question, if there is one of this judge's."""
        if self.model == NO_JUDGE:
            return None
        picture_hash = question.picture_hash(self.options.pictures.pixels, self.options.pictures.jpeg_quality)
        return known.get(verdict_id(picture_hash, question, self.prompts[question.kind].hash, self.model))


@dataclass(frozen=True)
class RefineUnit:
    """A video whose anchors are to be judged, or have been."""

    source: str
    video_id: str
    width: int
    height: int
    selection: DoneUnit
    input_hash: str
    verdicts: tuple[str, ...] = ()
    media_seconds: float = 0.0

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True)
class ApplyWork(Stateless):
    """Computes the rows of anchors and clips from the verdicts that are there, and commits them."""

    out: str
    judge: Judge
    name: str = "refine"

    def __call__(self, unit: RefineUnit) -> UnitResult:
        """Apply; raises InputError when the tables cannot be read or written."""
        known = verdict_parts.read(self.out, unit.verdicts)
        anchors, clips = (parts.read_part(self.out, table, unit.video_id) for table in (tables.ANCHORS, tables.CLIPS))
        applied = apply(anchors, clips, unit, self.judge, known)
        ledger.withdraw(self.out, Stage.REFINE, unit.video_id)
        parts.write_part(self.out, tables.ANCHORS, unit.video_id, applied.anchors)
        parts.write_part(self.out, tables.CLIPS, unit.video_id, applied.clips)
        tracks = parts.read_part(self.out, tables.TRACKS, unit.video_id, ["reason"])
        selected = unit.selection
        counts = count_selection(tracks, selected.counts["characters"], applied.anchors, applied.clips) | applied.counts
        ledger.commit(self.out, DoneUnit(Stage.REFINE, unit.video_id, 0, selected.start_ns, selected.end_ns, self.judge.config_hash, unit.input_hash, counts))
        return UnitResult({name: counts[name] for name in ("anchors", "pending", "clips", *applied.counts)})


@dataclass(frozen=True)
class Applied:
    """A video's rows after the verdicts.

    Attributes:
        anchors, clips: the rows of these tables.
        left: questions that another run would ask: nobody answered them yet.
    """

    anchors: pa.Table
    clips: pa.Table
    left: int

    @property
    def counts(self) -> dict[str, int]:
        """For the ledger."""
        wanted = self.clips.filter(pc.equal(self.clips["status"].cast(pa.string()), Status.ACCEPTED))
        return {"captions": len(wanted) - wanted["caption"].null_count, "captions pending": wanted["caption"].null_count, "questions left": self.left}


def apply(anchors: pa.Table, clips: pa.Table, unit: RefineUnit, by: Judge, known: Mapping[str, Verdict]) -> Applied:
    """The rows of a video's anchors and clips after the verdicts; those of candidates that belong to no character stay as they are."""
    judged_anchors, judged_clips, left = [anchors.filter(pc.is_null(anchors["character_id"]))], [tables.CLIPS.empty()], 0
    for character_id in sorted(pc.unique(anchors["character_id"].drop_null()).to_pylist()):
        own_anchors, own_clips = (rows.filter(pc.equal(rows["character_id"], character_id)) for rows in (anchors, clips))
        case = Case(own_anchors, own_clips, unit.width, unit.height)
        judgement = judge(case, lambda question: by.verdict_on(question, known), by.options.policy, by.options.pictures, by.ranking)
        judged_anchors.append(judgement.anchors)
        judged_clips.append(judgement.clips)
        left += len(judgement.open)
    every_anchor, every_clip = (pa.concat_tables(rows).unify_dictionaries().combine_chunks() for rows in (judged_anchors, judged_clips))
    rests_on = {*every_anchor["verdict_id"].drop_null().to_pylist(), *every_clip["verdict_id"].drop_null().to_pylist()}
    left += sum(not known[name].is_final for name in rests_on)
    return Applied(tables.ANCHORS.sort(every_anchor), tables.CLIPS.sort(every_clip), left)
