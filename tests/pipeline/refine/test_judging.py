import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crops import centred_square
from pipeline.refine.judging import Case, judge
from pipeline.refine.options import PictureOptions, PolicyOptions
from pipeline.refine.questions import Picture, Question, verdict_id
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions
from schemas.tables import ANCHORS, CLIPS
from schemas.vocabulary import AnchorKind, Flaw, PendingReason, QuestionKind
from tests.pipeline.refine.made_character import (
    ANNA,
    QUOTAS,
    RANKING,
    SECOND,
    SIZE,
    SURE,
    VIDEO,
    Answer,
    Seen,
    case,
    clips,
    refine,
    rows_by_name,
    selected,
    verdict,
    whimsical,
)

SCENE = Seen(100, kind="global", subclass=None)
COLUMNS = ("status", "reason", "rank", "subclass", "decision")


def said(**by_subject: dict[str, Any]) -> Any:
    """A judge who agrees with everything, except for some subjects (``_`` for ``-``)."""
    return lambda question: verdict(question, **by_subject.get(question.subject.replace("-", "_"), {}))


def fates(of: Case, answer: Any, policy: PolicyOptions = SURE, ranking: RankingOptions = RANKING) -> dict[str, tuple[Any, ...]]:
    """COLUMNS of every candidate after everything is answered."""
    judgement, _ = refine(of, answer, policy, ranking)
    return {name: tuple(row[column] for column in COLUMNS) for name, row in rows_by_name(judgement.anchors).items()}


def now(of: Case, known: Answer = lambda _: None, policy: PolicyOptions = SURE) -> Any:
    return judge(of, known, policy, PictureOptions(), RANKING)


# --- what is asked ---


def test_first_the_global_anchors_by_themselves() -> None:
    of = case([SCENE, Seen(0), Seen(10, kind="viewpoint", subclass="left")], clips((0, 5)))
    (question,) = now(of).open
    box = centred_square(AnchorKind.VIEWPOINT, [0.4, 0.4, 0.5, 0.6], [0.3, 0.3, 0.6, 1.0], *SIZE)
    shown = Picture(100 * SECOND, box)
    assert box[3] - box[1] == 320, "3.2 times the face's 100 pixels"
    assert question == Question(QuestionKind.GLOBAL, VIDEO, ANNA, "global-100", "front", (shown,), False)


def test_two_people_side_by_side_in_one_portrait_frame_are_two_questions() -> None:
    faces = [[0.05, 0.3, 0.45, 0.5], [0.55, 0.3, 0.95, 0.5]]
    questions = []
    for face in faces:
        candidates = selected([Seen(0)])
        boxes = pa.array([face], candidates.schema.field("face_box").type)
        of = Case(candidates.set_column(candidates.schema.get_field_index("face_box"), "face_box", boxes), clips(), 1080, 1920)
        questions += [of.question(0, kind, "happy", None) for kind in (AnchorKind.GLOBAL, AnchorKind.EXPRESSION)]
    known = {verdict_id(question.picture_hash(448 * 448, 90), question, "prompt", "model") for question in questions}
    assert len(known) == 4
    middles = [(x0 + x1, y0 + y1) for question in questions for picture in question.pictures for x0, y0, x1, y1 in [picture.region]]
    assert middles == [(540, 1536)] * 2 + [(1620, 1536)] * 2


def test_then_the_others_beside_the_best_global_anchor() -> None:
    second = Seen(200, kind="global", subclass=None, score=0.9)
    of = case([SCENE, second, Seen(0), Seen(10, kind="viewpoint", subclass="left"), Seen(20, kind="viewpoint", subclass="back")], clips((0, 5)))
    _, asked = refine(of, said(global_200={"named": "left"}))
    reference = next(question.pictures[0] for question in asked if question.subject == "global-100")
    of_others = {question.subject: question for question in asked if question.kind is not QuestionKind.GLOBAL}
    assert set(of_others) == {"expression-0", "viewpoint-10", "viewpoint-20", "clip-0"}
    assert all(question.pictures[0] == reference and question.has_reference for question in of_others.values())
    assert {name: question.stated for name, question in of_others.items()} == {
        "expression-0": "happy",
        "viewpoint-10": "left",
        "viewpoint-20": "back",
        "clip-0": None,
    }
    assert of_others["expression-0"].pictures[1:] == (Picture(0, centred_square(AnchorKind.EXPRESSION, [0.4, 0.4, 0.5, 0.6], None, *SIZE)),)
    assert of_others["viewpoint-20"].pictures[1:] == (Picture(20 * SECOND, centred_square(AnchorKind.VIEWPOINT, None, [0.3, 0.3, 0.6, 1.0], *SIZE)),)
    assert [picture.region for picture in of_others["clip-0"].pictures[1:]] == [(0, 0, *SIZE)] * 3


def test_a_pending_global_anchor_is_better_than_none_as_a_reference() -> None:
    of = case([SCENE, Seen(110, kind="global", subclass=None, score=0.9), Seen(0)])
    problem = {"problem": PendingReason.WRONG_ID}
    _, asked = refine(of, said(global_100=problem, global_110=problem))
    (question,) = (question for question in asked if question.subject == "expression-0")
    assert question.pictures[0].pts_ns == 110 * SECOND
    _, asked = refine(of, said(global_110=problem))
    (question,) = (question for question in asked if question.subject == "expression-0")
    assert question.pictures[0].pts_ns == 100 * SECOND, "an accepted one comes first"


@pytest.mark.parametrize("candidates", [[Seen(0)], [Seen(0), SCENE]])
def test_without_a_global_anchor_nobody_is_compared(candidates: list[Seen]) -> None:
    _, asked = refine(case(candidates, clips((0, 5))), said(global_100={"flaws": (Flaw.BLURRED,)}))
    others = [question for question in asked if question.kind is not QuestionKind.GLOBAL]
    assert [(question.subject, len(question.pictures), question.has_reference) for question in others] == [("expression-0", 1, False), ("clip-0", 3, False)]


def test_clips_are_asked_about_as_soon_as_the_character_is_sure_to_keep_an_anchor() -> None:
    candidates = [SCENE, Seen(0), Seen(10, subclass="sad")]
    of = case(candidates, clips((0, 5)))

    def open_after(known: Any) -> set[str]:
        return {question.subject for question in now(of, known).open}

    def scene_refused(question: Question) -> Verdict | None:
        return verdict(question, named=None) if question.subject == "global-100" else None

    def one_confirmed(question: Question) -> Verdict | None:
        return verdict(question) if question.subject == "expression-0" else scene_refused(question)

    assert open_after(scene_refused) == {"expression-0", "expression-10"}
    assert open_after(one_confirmed) == {"expression-10", "clip-0"}
    assert open_after(lambda question: verdict(question) if question.subject == "global-100" else None) == {"expression-0", "expression-10", "clip-0"}


def test_clips_of_a_character_that_lost_all_anchors_are_not_asked_about() -> None:
    judgement, asked = refine(case([SCENE, Seen(0)], clips((0, 5))), lambda question: verdict(question, named=None))
    assert {question.subject for question in asked} == {"global-100", "expression-0"}
    assert [(row["status"], row["reason"], row["caption"]) for row in judgement.clips.to_pylist()] == [("rejected", "too_few_anchors", None)]


def test_clips_of_a_character_that_never_had_an_anchor_are() -> None:
    judgement, asked = refine(case([Seen(0, reason="blurred")], clips((0, 5), (6, 11))), verdict)
    assert [question.subject for question in asked] == ["clip-0", "clip-6"]
    assert judgement.clips["caption"].to_pylist() == ["What clip-0 shows.", "What clip-6 shows."]


def test_clips_that_select_rejected_are_not_asked_about() -> None:
    _, asked = refine(case([SCENE], clips((0, 5), reason="too_short")), verdict)
    assert [question.subject for question in asked] == ["global-100"]


# --- what becomes of candidates ---


def test_without_a_judge_all_that_select_accepted_is_pending() -> None:
    candidates = [SCENE, *(Seen(3 * number, score=0.9 - number / 20) for number in range(6)), Seen(1, score=0.1), Seen(40, kind="viewpoint", subclass="back")]
    candidates += [Seen(60, subclass="sad", reason="uncertain_expression"), Seen(70, reason="uncertain_expression", score=0.95), Seen(80, reason="blurred")]
    of = case(candidates, clips((0, 10), (50, 60)))
    judgement = now(of, policy=PolicyOptions())
    before, after = of.candidates.to_pylist(), judgement.anchors.to_pylist()
    assert [row["anchor_id"] for row in before] == [row["anchor_id"] for row in after]
    for old, new in zip(before, after, strict=True):
        assert new["status"] == ("pending" if old["status"] == "accepted" else "rejected")
        assert new["reason"] == ("not_asked" if old["status"] == "accepted" else old["reason"])
        assert (new["rank"], new["subclass"], new["verdict_id"]) == (old["rank"], old["subclass"], None)
    assert {row["decision"] for row in after if row["status"] == "pending"} == {"pending"}
    assert [(row["status"], row["anchors_inside"], row["anchors_outside"]) for row in judgement.clips.to_pylist()] == [("accepted", 4, 2), ("accepted", 0, 6)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, ("accepted", None, 0, "happy", "accept")),
        ({"flaws": (Flaw.SPEAKING,)}, ("rejected", "judged_speaking", None, "happy", "reject")),
        ({"certainty": 1}, ("rejected", "judged_unclear", None, "happy", "reject")),
        ({"named": "sad"}, ("accepted", None, 0, "sad", "relabel")),
        ({"problem": PendingReason.CUT_SHORT}, ("pending", "cut_short", 0, "happy", "pending")),
    ],
)
def test_one_candidate(answer: dict[str, Any], expected: tuple[Any, ...]) -> None:
    of = case([SCENE, Seen(0)])
    assert fates(of, said(expression_0=answer))["expression-0"] == expected
    judgement, asked = refine(of, said(expression_0=answer))
    named = {answer.subject: answer.verdict_id for answer in asked.values()}
    assert {name: row["verdict_id"] for name, row in rows_by_name(judgement.anchors).items()} == named


def test_the_next_best_takes_the_place_of_one_refused_or_in_trouble() -> None:
    ranking = RankingOptions(expression_anchors=2, same_shot=1.0)
    crowd = [Seen(0, score=0.9), Seen(1, score=0.85), Seen(10, score=0.8), Seen(20, score=0.7), Seen(30, score=0.6)]
    found = fates(case(crowd, ranking=ranking), said(expression_0={"named": None}, expression_10={"problem": PendingReason.REFUSED}), ranking=ranking)
    assert found == {
        "expression-0": ("rejected", "judged_unclear", None, "happy", "reject"),
        "expression-1": ("accepted", None, 0, "happy", "accept"),
        "expression-10": ("pending", "refused", 2, "happy", "pending"),
        "expression-20": ("accepted", None, 1, "happy", "accept"),
        "expression-30": ("rejected", "outranked", None, "happy", None),
    }


def test_one_named_otherwise_competes_in_that_bin() -> None:
    ranking = RankingOptions(expression_anchors=1)
    crowd = [Seen(0, score=0.9, confidence=0.7, quality=1.0), Seen(1, score=0.9, subclass="sad"), Seen(10, score=0.2, subclass="angry")]
    of = case(crowd, ranking=ranking)
    close = fates(of, said(expression_0={"named": "sad"}), ranking=ranking)
    assert close["expression-0"] == ("rejected", "too_close_in_time", None, "sad", "relabel")
    assert close["expression-1"] == ("accepted", None, 0, "sad", "accept")
    behind = fates(of, said(expression_0={"named": "angry"}), ranking=ranking)
    assert behind["expression-0"] == ("rejected", "outranked", None, "angry", "relabel"), "select was sure of the other one"
    assert behind["expression-10"] == ("accepted", None, 0, "angry", "accept")
    alone = fates(of, said(expression_0={"named": "angry"}, expression_10={"named": None}), ranking=ranking)
    assert alone["expression-0"] == ("accepted", None, 0, "angry", "relabel")
    assert fates(of, said(expression_0={"named": "angry"}), PolicyOptions(), ranking)["expression-0"] == (
        "rejected",
        "judged_another_class",
        None,
        "happy",
        "reject",
    )


def test_a_bin_that_spent_its_questions() -> None:
    ranking = RankingOptions(expression_anchors=1)
    crowd = [Seen(10 * number, score=0.9 - number / 10) for number in range(5)]
    policy = PolicyOptions(questions_per_anchor=2)
    found = fates(case(crowd, ranking=ranking), lambda question: verdict(question, flaws=(Flaw.COVERED,)), policy, ranking)
    assert [fate[:3] for fate in found.values()] == [
        ("rejected", "judged_covered", None),
        ("rejected", "judged_covered", None),
        ("rejected", "questions_spent", None),
        ("rejected", "outranked", None),
        ("rejected", "outranked", None),
    ]
    assert found["expression-20"][3:] == ("happy", None)


def test_who_is_accepted_was_judged_also_when_fewer_are_wanted_than_select_chose() -> None:
    of = case([Seen(0, score=0.9), Seen(10, score=0.8), Seen(20, score=0.7)])
    found = fates(of, verdict, ranking=RankingOptions(expression_anchors=2))
    assert [fate[:3] for fate in found.values()] == [("accepted", None, 0), ("accepted", None, 1), ("rejected", "outranked", None)]


DOUBTFUL = Seen(50, subclass="sad", reason="uncertain_expression", score=0.95, confidence=0.4)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, ("accepted", None, 0, "sad", "accept")),
        ({"named": "angry"}, ("accepted", None, 0, "angry", "relabel")),
        ({"flaws": (Flaw.COVERED,)}, ("rejected", "judged_covered", None, None, "reject")),
        ({"problem": PendingReason.REFUSED}, ("rejected", "uncertain_expression", None, None, "pending")),
    ],
)
def test_a_doubtful_face_becomes_what_the_judge_says(answer: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert fates(case([Seen(0), DOUBTFUL]), said(expression_50=answer), PolicyOptions())["expression-50"] == expected


def test_a_doubtful_face_stays_what_it_was_until_somebody_answers() -> None:
    row = rows_by_name(now(case([Seen(0), DOUBTFUL]), policy=PolicyOptions()).anchors)["expression-50"]
    assert tuple(row[column] for column in COLUMNS) == ("rejected", "uncertain_expression", None, None, "pending")


def test_doubtful_faces_are_asked_about_when_those_select_was_sure_of_do_not_fill_the_bin() -> None:
    ranking = RankingOptions(expression_anchors=2)
    doubtful = [Seen(10 * number, subclass="sad", reason="uncertain_expression", score=0.95) for number in range(5, 9)]
    sure = [Seen(0, subclass="sad", score=0.1), Seen(10, subclass="sad", score=0.1), Seen(20, subclass="sad", score=0.05)]

    def asked(*refused: str) -> list[str]:
        _, questions = refine(
            case([*sure, *doubtful], ranking=ranking),
            lambda question: verdict(question, **({"named": None} if question.subject in refused else {})),
            PolicyOptions(),
            ranking,
        )
        return [question.subject for question in questions]

    assert asked() == ["expression-0", "expression-10"]
    assert asked("expression-0") == ["expression-0", "expression-10", "expression-20"]
    assert asked("expression-0", "expression-10") == ["expression-0", "expression-10", "expression-20", "expression-50"]


def test_views_and_scenes() -> None:
    of = case([SCENE, Seen(0, kind="viewpoint", subclass="front"), Seen(0, kind="global", subclass=None, score=0.9)])
    found = fates(of, said(global_0={"named": "right"}, viewpoint_0={"named": "right"}))
    assert found["global-0"] == ("rejected", "judged_another_class", None, None, "reject")
    assert found["global-100"] == ("accepted", None, 0, None, "accept")
    assert found["viewpoint-0"] == ("accepted", None, 0, "right", "relabel")


def test_while_a_global_question_is_open_all_others_wait() -> None:
    first, second = SCENE, Seen(110, kind="global", subclass=None)
    of = case([first, second, Seen(0)], clips((0, 5)))

    def one(question: Question) -> Verdict | None:
        assert question.kind is QuestionKind.GLOBAL
        return verdict(question, named=None) if question.subject == "global-100" else None

    judgement = now(of, one)
    assert [question.subject for question in judgement.open] == ["global-110"]
    found = rows_by_name(judgement.anchors)
    assert [(found[name]["status"], found[name]["reason"]) for name in ("global-100", "global-110", "expression-0")] == [
        ("rejected", "judged_unclear"),
        ("pending", "not_asked"),
        ("pending", "not_asked"),
    ]


def test_an_answered_round_counts_although_the_next_one_is_open() -> None:
    ranking = RankingOptions(expression_anchors=2, same_shot=1.0)
    crowd = [Seen(0, score=0.9), Seen(10, score=0.8), Seen(20, score=0.7)]
    known = {"expression-0": {"named": None}, "expression-10": {}}
    of = case(crowd, ranking=ranking)
    judgement = judge(of, lambda q: verdict(q, **known[q.subject]) if q.subject in known else None, SURE, PictureOptions(), ranking)
    assert [question.subject for question in judgement.open] == ["expression-20"]
    assert [(row["status"], row["reason"], row["rank"]) for row in judgement.anchors.to_pylist()] == [
        ("rejected", "judged_unclear", None),
        ("accepted", None, 0),
        ("pending", "not_asked", 1),
    ]


def test_captions_with_problems_leave_clips_accepted() -> None:
    judgement, asked = refine(case([SCENE], clips((0, 5), (5, 10))), said(clip_0={"problem": PendingReason.CUT_SHORT}))
    verdicts = {question.subject: answer.verdict_id for question, answer in asked.items()}
    assert [(row["status"], row["caption"], row["verdict_id"]) for row in judgement.clips.to_pylist()] == [
        ("accepted", None, verdicts["clip-0"]),
        ("accepted", "What clip-5 shows.", verdicts["clip-5"]),
    ]


def test_a_character_of_whom_there_is_nothing() -> None:
    judgement = now(Case(ANCHORS.empty(), CLIPS.empty(), *SIZE))
    assert (judgement.open, len(judgement.anchors), len(judgement.clips)) == ([], 0, 0)


def test_one_character_at_a_time() -> None:
    mine = case([SCENE]).candidates
    position = mine.schema.get_field_index("character_id")
    others = mine.set_column(position, mine.schema.field(position), pa.array(["somebody else"]))
    with pytest.raises(ValueError, match="one character at a time"):
        Case(pa.concat_tables([mine, others]), CLIPS.empty(), *SIZE)


# --- whoever is there, and whatever is answered ---


def one_of(kind: str) -> st.SearchStrategy[Seen]:
    classes: dict[str, list[str | None]] = {"global": [None], "viewpoint": ["front", "left", "back"], "expression": ["happy", "sad", "neutral"]}
    reasons = [None, None, None, None, "blurred", *(["uncertain_expression"] * 2 if kind == "expression" else [])]
    return st.builds(
        Seen,
        seconds=st.integers(0, 40),
        kind=st.just(kind),
        subclass=st.sampled_from(classes[kind]),
        score=st.integers(1, 12).map(lambda number: number / 12),
        shot=st.integers(0, 2),
        reason=st.sampled_from(reasons),
        confidence=st.integers(0, 8).map(lambda number: number / 8),
        quality=st.integers(1, 4).map(lambda number: number / 4),
    )


crowds = st.lists(st.sampled_from(list(QUOTAS)).flatmap(one_of), max_size=50, unique_by=lambda seen: seen.anchor_id)
rankings = st.builds(
    RankingOptions,
    global_anchors=st.integers(0, 2),
    viewpoint_anchors=st.integers(0, 3),
    expression_anchors=st.integers(0, 3),
    min_distance=st.sampled_from([0.0, 2.0, 5.0]),
    same_shot=st.sampled_from([0.5, 0.85, 1.0]),
)
policies = st.builds(
    PolicyOptions,
    questions_per_anchor=st.integers(1, 3),
    least_confidence=st.sampled_from([0.0, 0.3, 1.0]),
    least_certainty=st.integers(1, 5),
    relabel_below=st.sampled_from([0.0, 0.5, 1.0]),
)
seeds = st.integers(0, 2**20)


@given(crowds, rankings, policies, seeds)
@settings(max_examples=30)
def test_whatever_the_judge_answers(crowd: list[Seen], ranking: RankingOptions, policy: PolicyOptions, seed: int) -> None:
    of = case(crowd, clips((0, 5), (10, 20)), ranking)
    judgement, asked = refine(of, whimsical(seed), policy, ranking)
    quotas = {"global": ranking.global_anchors, "viewpoint": ranking.viewpoint_anchors, "expression": ranking.expression_anchors}
    for (kind, _), number in Counter((str(question.kind), question.stated) for question in asked if question.stated).items():
        assert number <= policy.questions_per_anchor * quotas[kind], "the cost is bounded by the anchors wanted"
    rows = judgement.anchors.to_pylist()
    bins: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for row in rows:
        assert (row["status"] == "accepted") == (row["reason"] is None)
        assert (row["status"] == "rejected") == (row["rank"] is None)
        if row["status"] != "rejected":
            bins.setdefault((row["kind"], row["subclass"]), []).append(row)
            assert row["verdict_id"] is not None
    for (kind, subclass), members in bins.items():
        accepted = [row for row in members if row["status"] == "accepted"]
        assert len(accepted) <= quotas[kind]
        assert sorted(row["rank"] for row in members) == list(range(len(members)))
        assert max((row["rank"] for row in accepted), default=-1) < min((row["rank"] for row in members if row["status"] == "pending"), default=99)
        times = sorted(row["pts_ns"] for row in accepted)
        assert all(later - earlier >= ranking.min_distance * SECOND for earlier, later in pairwise(times))
        assert (subclass is None) == (kind == "global")
    answers = {answer.verdict_id: answer for answer in asked.values()}
    for row in rows:
        answer = answers.get(row["verdict_id"])
        assert answer is None or answer.subject == row["anchor_id"], "no verdict lands on another candidate"
        if row["status"] == "accepted":
            assert answer is not None
            assert row["subclass"] in (answer.named, None)
    again = judge(Case(judgement.anchors, judgement.clips, *SIZE), asked.get, policy, PictureOptions(), ranking)
    assert again.open == []
    assert again.anchors.equals(judgement.anchors)
    assert again.clips.equals(judgement.clips)


@given(crowds, rankings, policies, seeds)
@settings(max_examples=30)
def test_when_answers_come_and_in_what_order_changes_nothing(crowd: list[Seen], ranking: RankingOptions, policy: PolicyOptions, seed: int) -> None:
    of, answer = case(crowd, clips((0, 5), (10, 20)), ranking), whimsical(seed)
    judgement, asked = refine(of, answer, policy, ranking)
    bit_by_bit, asked_bit_by_bit = refine(of, answer, policy, ranking, random.Random(seed))
    assert asked == asked_bit_by_bit
    assert bit_by_bit.anchors.equals(judgement.anchors)
    assert bit_by_bit.clips.equals(judgement.clips)
    whole = dict(sorted(asked.items(), key=lambda item: item[1].verdict_id))
    whole |= {question: answer(question) for question in now(of).open}
    final = judge(of, whole.get, policy, PictureOptions(), ranking)
    assert final.open == []
    assert final.anchors.equals(judgement.anchors)


@given(crowds, rankings)
@settings(max_examples=30)
def test_a_judge_who_confirms_everything_leaves_what_select_chose(crowd: list[Seen], ranking: RankingOptions) -> None:
    of = case(crowd, clips((0, 5), (10, 20)), ranking)
    judgement, _ = refine(of, verdict, SURE, ranking)
    for name in ("status", "reason", "rank", "subclass"):
        assert judgement.anchors[name].to_pylist() == of.candidates[name].to_pylist()
    more, _ = refine(of, verdict, PolicyOptions(), ranking)
    for before, after in zip(of.candidates.to_pylist(), more.anchors.to_pylist(), strict=True):
        if before["status"] == "accepted":
            assert (after["status"], after["rank"]) == ("accepted", before["rank"]), "doubtful faces come after, never in place of them"


@given(crowds, rankings, policies, seeds)
@settings(max_examples=30)
def test_a_judge_who_is_always_right_leaves_no_wrong_anchor(crowd: list[Seen], ranking: RankingOptions, policy: PolicyOptions, seed: int) -> None:
    dice = random.Random(seed)
    classes = {"global": ["front", "left"], "viewpoint": ["front", "left", "back"], "expression": ["happy", "sad", "neutral"]}
    truth = {seen.anchor_id: dice.choice(classes[seen.kind]) for seen in crowd}
    judgement, asked = refine(case(crowd, ranking=ranking), lambda question: verdict(question, named=truth[question.subject]), policy, ranking)
    accepted = [row for row in judgement.anchors.to_pylist() if row["status"] == "accepted"]
    assert all((row["subclass"] or "front") == truth[row["anchor_id"]] for row in accepted)
    assert {row["anchor_id"] for row in accepted} <= {question.subject for question in asked}


@given(crowds, rankings, policies)
@settings(max_examples=30)
def test_without_a_judge_nothing_is_lost(crowd: list[Seen], ranking: RankingOptions, policy: PolicyOptions) -> None:
    of = case(crowd, clips((0, 5)), ranking)
    judgement = judge(of, lambda _: None, policy, PictureOptions(), ranking)
    chosen = {name for name, row in rows_by_name(of.candidates).items() if row["status"] == "accepted"}
    assert {name for name, row in rows_by_name(judgement.anchors).items() if row["status"] == "pending"} == chosen
    assert judgement.clips["status"].to_pylist() == ["accepted"]
