import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.refine.bins import Bins, fill_bins
from pipeline.refine.candidates import Candidates
from pipeline.refine.decisions import Ruling
from pipeline.select.ranking import RankingOptions
from schemas.vocabulary import AnchorKind, Decision, PendingReason, RejectReason

SECOND = 1_000_000_000
CLASSES = ["happy", "sad"]
YES = {word: Ruling(Decision.ACCEPT, word, None, "v") for word in CLASSES}
ELSEWHERE = {"happy": Ruling(Decision.RELABEL, "sad", None, "v"), "sad": Ruling(Decision.RELABEL, "happy", None, "v")}
NO = Ruling(Decision.REJECT, None, RejectReason.JUDGED_BLURRED, "v")
BROKEN = Ruling(Decision.PENDING, None, PendingReason.WRONG_ID, "v")


def candidates(scores: list[float], seconds: list[float] | None = None, bins: list[int] | None = None, doubtful: list[int] | None = None) -> Candidates:
    count = len(scores)
    is_doubtful = np.isin(np.arange(count), doubtful or [])
    return Candidates(
        kind=AnchorKind.EXPRESSION,
        classes=CLASSES,
        rows=np.arange(count),
        bins=np.array(bins or [0] * count, np.int64),
        scores=np.array(scores, np.float32),
        scores_elsewhere=np.full(count, 0.25, np.float32),
        pts_ns=np.array([round(second * SECOND) for second in seconds or np.arange(count) * 10], np.int64),
        shots=np.zeros(count, np.int64),
        chosen=np.zeros(count, bool),
        doubtful=is_doubtful,
    )


def fill(of: Candidates, answers: dict[int, Ruling], quota: int = 2, per_anchor: int = 3) -> tuple[Bins, list[int]]:
    """The bins, and whom was asked about, in order; those without an answer of their own are confirmed."""
    asked = []

    def answer(number: int) -> Ruling:
        asked.append(number)
        return answers.get(number, YES[CLASSES[of.bins[number]]])

    return fill_bins(of, quota, per_anchor, RankingOptions(same_shot=1.0), answer), asked


def test_the_best_are_asked_about_and_no_more_than_wanted() -> None:
    bins, asked = fill(candidates([0.1, 0.9, 0.8, 0.7]), {})
    assert asked == [1, 2]
    assert bins.places.tolist() == [-1, 0, 1, -1]
    assert bins.open == []


def test_for_one_refused_the_next_best_is_asked_about() -> None:
    bins, asked = fill(candidates([0.1, 0.9, 0.8, 0.7]), {1: NO, 3: NO})
    assert asked == [1, 2, 3, 0]
    assert bins.places.tolist() == [1, -1, 0, -1]


def test_one_refused_makes_room_for_its_neighbour() -> None:
    of = candidates([0.9, 0.8, 0.2], seconds=[0, 1, 10])
    assert fill(of, {})[1] == [0, 2]
    bins, asked = fill(of, {0: NO})
    assert asked == [0, 2, 1]
    assert bins.places.tolist() == [-1, 0, 1]


def test_a_problem_takes_nobodys_place_and_stands_behind_all() -> None:
    bins, asked = fill(candidates([0.9, 0.8, 0.7, 0.6]), {0: BROKEN, 2: BROKEN})
    assert asked == [0, 1, 2, 3]
    assert bins.places.tolist() == [2, 0, 3, 1]
    assert bins.keeps_one


def test_a_bin_asks_as_often_as_it_may_and_no_more() -> None:
    bins, asked = fill(candidates([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), dict.fromkeys((0, 1, 2), NO), per_anchor=2)
    assert asked == [0, 1, 2, 3]
    assert bins.places.tolist() == [-1, -1, -1, 0, -1, -1]
    assert bins.spent.tolist() == [False] * 4 + [True, False]
    bins, asked = fill(candidates([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), dict.fromkeys((0, 1), NO), per_anchor=1)
    assert asked == [0, 1]
    assert not bins.keeps_one
    assert bins.spent.tolist() == [False, False, True, True, False, False]


def test_of_too_few_questions_the_best_get_them() -> None:
    bins, asked = fill(candidates([0.9, 0.8, 0.7, 0.6, 0.5]), {0: NO, 1: NO, 2: NO, 3: NO}, quota=3, per_anchor=1)
    assert asked == [0, 1, 2]
    assert bins.spent.tolist() == [False, False, False, True, True]


def test_a_spent_bin_keeps_those_that_unasked_ones_would_have_displaced() -> None:
    of = candidates([0.9, 0.8, 0.7, 0.6], seconds=[0, 10, 20, 21], bins=[1, 1, 1, 0])
    bins, asked = fill(of, {0: NO, 3: ELSEWHERE["happy"]}, quota=1, per_anchor=1)
    assert asked == [3, 0]
    assert bins.places.tolist() == [-1, -1, -1, 0]
    assert bins.spent.tolist() == [False, True, False, False]


def test_one_that_is_named_otherwise_competes_there_without_being_asked_about_again() -> None:
    bins, asked = fill(candidates([0.9, 0.8, 0.2], bins=[0, 1, 1]), {0: ELSEWHERE["happy"]})
    assert sorted(asked) == [0, 1, 2]
    assert bins.competes_in.tolist() == [1, 1, 1]
    assert bins.places.tolist() == [1, 0, -1], "0.9 was its score as happy; as sad it is 0.25"
    assert bins.left.tolist() == [5, 4]


def test_one_that_is_named_otherwise_saves_the_other_bin_a_question() -> None:
    bins, asked = fill(candidates([0.9, 0.8, 0.3, 0.2], bins=[0, 1, 1, 1]), {0: ELSEWHERE["happy"], 2: NO})
    assert asked == [0, 1, 2]
    assert bins.places.tolist() == [1, 0, -1, -1]


def test_one_from_elsewhere_may_be_too_close() -> None:
    bins, _ = fill(candidates([0.9, 0.8], seconds=[0, 1], bins=[0, 1]), {0: ELSEWHERE["happy"]})
    assert bins.places.tolist() == [-1, 0]
    assert bins.too_close.tolist() == [True, False]


def test_without_answers_the_first_round_is_open_and_those_select_was_sure_of_are_left() -> None:
    of = candidates([0.9, 0.8, 0.7, 1e-7, 1e-8], bins=[0, 0, 0, 1, 1], doubtful=[3, 4])
    bins = fill_bins(of, 2, 3, RankingOptions(same_shot=1.0), lambda _: None)
    assert bins.open == [0, 1, 3, 4]
    assert bins.places.tolist() == [0, 1, -1, -1, -1]
    assert not bins.spent.any()
    assert not bins.keeps_one


def test_a_round_that_lacks_an_answer_is_the_last_but_what_is_known_counts() -> None:
    answers = {0: NO, 1: YES["happy"]}
    bins = fill_bins(candidates([0.9, 0.8, 0.7, 0.6, 0.5]), 3, 3, RankingOptions(same_shot=1.0), answers.get)
    assert bins.open == [2]
    assert bins.places.tolist() == [-1, 0, 1, 2, -1]


def test_who_may_still_be_asked_about_is_not_left_out_for_good() -> None:
    answers = {0: NO, 1: NO}
    bins = fill_bins(candidates([0.9, 0.8, 0.7, 1e-7], doubtful=[3]), 3, 3, RankingOptions(same_shot=1.0), answers.get)
    assert bins.open == [2]
    assert bins.places.tolist() == [-1, -1, 0, -1]
    assert not bins.spent.any(), "the doubtful one has its turn when the round is complete"


def test_a_quota_of_none_asks_about_nobody() -> None:
    bins, asked = fill(candidates([0.9]), {}, quota=0)
    assert (asked, bins.places.tolist()) == ([], [-1])


def test_nobody_to_ask_about() -> None:
    assert fill(candidates([]), {})[1] == []


crowds = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 40), st.integers(0, 1), st.booleans()), max_size=40)


def answered_by(seed: int, of: Candidates) -> Callable[[int], Ruling]:
    def answer(number: int) -> Ruling:
        word = CLASSES[of.bins[number]]
        return random.Random(f"{seed} {number}").choice([YES[word], ELSEWHERE[word], NO, NO, BROKEN])

    return answer


@given(crowds, st.integers(0, 3), st.integers(1, 3), st.integers(0, 2**20), st.data())
@settings(max_examples=100)
def test_whatever_is_answered(rows: list[tuple[int, int, int, bool]], quota: int, per_anchor: int, seed: int, data: st.DataObject) -> None:
    seconds = [float(row[1]) for row in rows]
    of = candidates([row[0] / 100 for row in rows], seconds, [row[2] for row in rows], [number for number, row in enumerate(rows) if row[3]])
    answer = answered_by(seed, of)
    whole = fill_bins(of, quota, per_anchor, RankingOptions(), answer)
    questions = Counter(int(of.bins[number]) for number in whole.rulings)
    assert all(number <= per_anchor * quota for number in questions.values())
    confirmed = [number for number, ruling in whole.rulings.items() if ruling and ruling.competes_in]
    chosen = [number for number in confirmed if whole.places[number] >= 0]
    for bin_ in range(2):
        members = [number for number in chosen if whole.competes_in[number] == bin_]
        assert len(members) <= quota
        assert sorted(whole.places[members]) == list(range(len(members)))
        assert all(abs(seconds[a] - seconds[b]) >= 2 for a in members for b in members if a != b)
        if len(members) < quota:
            near = [n for n in confirmed if whole.competes_in[n] == bin_ and n not in members and all(abs(seconds[n] - seconds[m]) >= 2 for m in members)]
            assert near == [], "no confirmed one is left out for nothing"
    assert {number for number in np.flatnonzero(whole.places >= 0) if number not in chosen} == {n for n, ruling in whole.rulings.items() if ruling is BROKEN}
    some = data.draw(st.sets(st.sampled_from(sorted(whole.rulings)))) if whole.rulings else set()
    part = fill_bins(of, quota, per_anchor, RankingOptions(), lambda number: answer(number) if number in some else None)
    assert set(part.rulings) <= set(whole.rulings), "what is open with some answers is asked with all of them too"


def test_bins_without_candidates_keep_nothing() -> None:
    bins = Bins(candidates([]), 2, 3, RankingOptions())
    bins.settle()
    assert (bins.next_round(), bins.open, bins.keeps_one) == ([], [], False)


@pytest.mark.parametrize("ruling", [YES["happy"], BROKEN, ELSEWHERE["happy"]])
def test_who_is_not_refused_is_kept(ruling: Ruling) -> None:
    assert fill(candidates([0.5]), {0: ruling})[0].keeps_one
    assert not fill(candidates([0.5]), {0: NO})[0].keeps_one
