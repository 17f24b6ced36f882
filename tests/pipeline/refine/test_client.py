"""The judge's client against a server that misbehaves: every row ends as a verdict of its own, whatever happens to its neighbours.

The server answers by what it sees in the picture, so the right verdict of a row is known without any id that travels.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from pipeline.refine.backoff import Backoff
from pipeline.refine.client import JudgeClient, JudgeGone, served_model
from pipeline.refine.options import PictureOptions, ServerOptions
from pipeline.refine.prompting import load_prompts
from pipeline.refine.questions import Picture, Question, content_hash
from pipeline.refine.redaction import NO_KEY
from pipeline.refine.verdicts import Verdict, verdict_rows
from schemas.answers import UNCLEAR, answer_schema
from schemas.vocabulary import Agreement, Flaw, PendingReason, QuestionKind
from tests.pipeline.refine import hostile_server as hostile
from tests.pipeline.refine.hostile_server import MODEL, Exchange, Fault, HostileServer, InOrder, Swap, right_answer, says, status

PROMPTS = load_prompts()
PICTURES = PictureOptions()
QUICK = ServerOptions(in_flight=8, connect_seconds=1.0, timeout_seconds=5.0, attempts=2, patience_minutes=1.0, largest_reply=2**20)
KEY = "sk-never-to-be-seen"


async def no_time(_: float) -> None:
    await asyncio.sleep(0)


def question(row: str, kind: QuestionKind = QuestionKind.EXPRESSION, stated: str | None = "happy", has_reference: bool = False) -> Question:
    frames = 3 if kind is QuestionKind.CAPTION else 1
    pictures = tuple(Picture(int.from_bytes(row.encode()[:7]) + number, (0, 0, 10, 10)) for number in range(frames + has_reference))
    return Question(kind, "video", "character", row, stated, pictures, has_reference)


def jpegs(asked: Question) -> list[bytes]:
    return [*[b"another picture"] * (len(asked.pictures) - 1), asked.subject.encode()]


def client(*servers: HostileServer, options: ServerOptions = QUICK, key: str = NO_KEY, sleep: Callable[[float], Awaitable[None]] = no_time) -> JudgeClient:
    options = replace(options, urls=tuple(server.url for server in servers))
    return JudgeClient(MODEL, PROMPTS, options, PICTURES, key, Backoff(first=0.01, longest=0.02, random=Random(0)), sleep)


def ask_all(judge: Callable[[], JudgeClient], questions: Sequence[Question]) -> list[Verdict | BaseException]:
    """What became of each question, all asked at the same time; a minute is a hang."""

    async def act() -> list[Verdict | BaseException]:
        asked = judge()
        try:
            async with asyncio.timeout(60):
                return await asyncio.gather(*(asked.ask(one, jpegs(one)) for one in questions), return_exceptions=True)
        finally:
            await asked.close()

    return asyncio.run(act())


def verdicts_of(outcomes: Sequence[Verdict | BaseException], questions: Sequence[Question]) -> list[Verdict]:
    """All outcomes as verdicts, in order; each must be of its question and fit into the table."""
    verdicts = []
    for outcome, asked in zip(outcomes, questions, strict=True):
        assert isinstance(outcome, Verdict), outcome
        assert (outcome.subject, outcome.question, outcome.stated) == (asked.subject, asked.kind, asked.stated)
        verdicts.append(outcome)
    assert verdict_rows(verdicts).num_rows == len(verdicts)
    return verdicts


def is_right(verdict: Verdict, has_reference: bool = False) -> bool:
    """Whether a verdict is what the judge sees in the picture of its row, and nothing else."""
    seen = right_answer(verdict.subject, answer_schema(verdict.question, "", has_reference))
    if verdict.question is QuestionKind.CAPTION:
        return verdict.problem is None and verdict.caption is not None and all(seen[name] in verdict.caption for name in ("action", "appearance", "scene"))
    named = seen["expression" if verdict.question is QuestionKind.EXPRESSION else "view"]
    return (verdict.problem, verdict.named, verdict.flaws, verdict.certainty, verdict.same_person) == (
        None,
        None if named == UNCLEAR else named,
        tuple(flaw for flaw in Flaw if seen[flaw] == "yes"),
        seen["certainty"],
        Agreement(seen["same_person"]) if has_reference else None,
    )


def facts(verdict: Verdict) -> dict[str, Any]:
    """A verdict without what the clock says."""
    return {name: getattr(verdict, name) for name in Verdict.__slots__ if name not in {"latency_seconds", "answered_at"}}


@dataclass(frozen=True)
class Case:
    """A fault, what a row ends as that never gets rid of it, and whether one time of it can be made good."""

    fault: Fault
    problem: PendingReason
    requests: int = 2
    heals: bool = True
    is_repaired: bool = False
    told: str = ""


def of_form(change: Callable[[hostile.Request], str | None], problem: PendingReason, finish_reason: str = "stop", told: str = "") -> Case:
    return Case(says(change, finish_reason), problem, is_repaired=True, told=told)


def final(fault: Fault, problem: PendingReason, told: str = "") -> Case:
    return Case(fault, problem, requests=1, heals=False, told=told)


CASES = {
    "429": Case(status(429, "slow down"), PendingReason.RATE_LIMITED, told="429: slow down"),
    "429 with Retry-After": Case(status(429, headers={"retry-after": "30"}), PendingReason.RATE_LIMITED),
    "408": Case(status(408), PendingReason.TIMED_OUT),
    "409": Case(status(409), PendingReason.SERVER_ERROR),
    "500 in JSON": Case(status(500, "EngineCore died"), PendingReason.SERVER_ERROR, told="500: EngineCore died"),
    "500 in HTML": Case(hostile.html_500, PendingReason.SERVER_ERROR, told="500: Internal error"),
    "500 of 50 MB": Case(hostile.huge(50 * 2**20, status=500), PendingReason.SERVER_ERROR, told="500"),
    "200 in HTML": Case(hostile.html_200, PendingReason.SERVER_ERROR, told="not JSON"),
    "reset in mid-body": Case(hostile.reset_in_mid_body, PendingReason.CONNECTION_LOST, told="ReadError"),
    "end in mid-body": Case(hostile.end_in_mid_body, PendingReason.CONNECTION_LOST, told="RemoteProtocolError"),
    "hang": Case(hostile.hang, PendingReason.TIMED_OUT, told="no reply in time"),
    "trickle": Case(hostile.trickle, PendingReason.TIMED_OUT, told="no reply in time"),
    "envelope cut": Case(hostile.cut_envelope, PendingReason.SERVER_ERROR, told="not JSON"),
    "no choices": Case(hostile.no_choices, PendingReason.SERVER_ERROR, told="no choices"),
    "aborted": Case(says(hostile.half, "abort"), PendingReason.SERVER_ERROR, told="abort"),
    "answer cut": of_form(hostile.half, PendingReason.INVALID_JSON),
    "finish_reason length": of_form(hostile.half, PendingReason.CUT_SHORT, "length"),
    "finish_reason tool_calls": of_form(hostile.half, PendingReason.WRONG_SCHEMA, "tool_calls", told="tool_calls"),
    "wrong id": of_form(hostile.another_id, PendingReason.WRONG_ID, told="0123456789abcdef"),
    "another schema": of_form(hostile.another_schema, PendingReason.WRONG_SCHEMA),
    "control characters": of_form(hostile.control_characters, PendingReason.INVALID_JSON),
    "control characters escaped": of_form(hostile.escaped_control_characters, PendingReason.INVALID_JSON),
    "duplicated key": of_form(hostile.duplicated_key, PendingReason.INVALID_JSON, told="twice"),
    "thinking aloud": of_form(hostile.thinking, PendingReason.INVALID_JSON),
    "half a surrogate pair": of_form(hostile.lone_surrogate, PendingReason.WRONG_SCHEMA),
    "no words": of_form(lambda _: None, PendingReason.INVALID_JSON, told="no words"),
    "refusal": final(says(lambda _: None, refusal="I would rather not"), PendingReason.REFUSED, told="I would rather not"),
    "content_filter": final(says(lambda _: "", "content_filter"), PendingReason.REFUSED, told="filtered"),
    "400": final(status(400, "at most 4 images"), PendingReason.REFUSED, told="400: at most 4 images"),
    "401": final(status(401, "not yours"), PendingReason.REFUSED, told="401: not yours"),
    "403": final(status(403, "not this picture"), PendingReason.REFUSED, told="403: not this picture"),
    "404": final(status(404), PendingReason.REFUSED, told="404"),
    "422": final(status(422), PendingReason.REFUSED),
    "307": final(status(307, headers={"location": "http://127.0.0.1:9/"}), PendingReason.REFUSED, told="307"),
    "50 MB": final(hostile.huge(50 * 2**20), PendingReason.TOO_LARGE, told="larger than 1,048,576 bytes"),
    "50 MB compressed": final(hostile.huge_compressed(50 * 2**20), PendingReason.TOO_LARGE, told="larger than 1,048,576 bytes"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_of_its_row_alone_and_one_time_of_it_is_made_good(name: str) -> None:
    case = CASES[name]
    options = replace(QUICK, timeout_seconds=1.0) if case.fault in (hostile.hang, hostile.trickle) else QUICK
    questions = [question(row) for row in ("well", "always", "once", "also well")]
    with HostileServer(faults={"once": [case.fault]}, always={"always": case.fault}, crowd=4) as server:
        well, always, once, also_well = verdicts_of(ask_all(lambda: client(server, options=options), questions), questions)
    assert is_right(well)
    assert is_right(also_well)
    assert (well.attempts, well.repaired, also_well.attempts, also_well.repaired) == (1, False, 1, False)
    assert (always.problem, always.attempts, always.repaired) == (case.problem, case.requests, case.is_repaired)
    assert (always.named, always.same_person, always.flaws, always.certainty, always.caption) == (None, None, (), None, None)
    assert always.message is not None
    assert case.told in always.message
    assert len(server.requests_about("always")) == case.requests
    if case.heals:
        assert is_right(once)
        assert (once.attempts, once.repaired, once.message) == (2, case.is_repaired, None)
    else:
        assert (once.problem, once.attempts) == (case.problem, 1)


def test_a_body_without_end_is_hardly_read() -> None:
    asked = [question("huge")]
    with HostileServer(always={"huge": hostile.huge(50 * 2**20)}) as server:
        verdicts_of(ask_all(lambda: client(server), asked), asked)
        # What fits into the sockets' buffers on this machine is sent, though it is not read.
        assert server.bytes_sent["huge"] < 20 * 2**20


def test_the_server_is_left_alone_for_as_long_as_it_asks_for() -> None:
    waits: list[float] = []

    async def remember(seconds: float) -> None:
        waits.append(seconds)

    asked = [question("row")]
    with HostileServer(faults={"row": [status(429, headers={"retry-after": "30"})]}) as server:
        (verdict,) = verdicts_of(ask_all(lambda: client(server, sleep=remember), asked), asked)
    assert is_right(verdict)
    assert len(waits) == 1
    assert 30.0 <= waits[0] <= 30.01


def test_swapped_replies_reach_nobody_and_the_repetition_is_right() -> None:
    questions = [question(row) for row in ("one", "other", "well")]
    swap = Swap()
    with HostileServer(faults={"one": [swap], "other": [swap]}) as server:
        one, other, well = verdicts_of(ask_all(lambda: client(server), questions), questions)
    assert all(map(is_right, (one, other, well)))
    assert [(verdict.repaired, verdict.attempts) for verdict in (one, other, well)] == [(True, 2), (True, 2), (False, 1)]
    assert one.request_id == content_hash([one.verdict_id, "repair"])
    for row in ("one", "other"):  # nobody is shown the other's answer either
        assert all(message["role"] != "assistant" for message in server.requests_about(row)[1].body["messages"])


def test_replies_that_are_always_swapped_leave_both_rows_without_a_verdict() -> None:
    questions = [question(row) for row in ("one", "other", "well")]
    swap = Swap()
    with HostileServer(always={"one": swap, "other": swap}) as server:
        one, other, well = verdicts_of(ask_all(lambda: client(server), questions), questions)
    assert is_right(well)
    assert [(verdict.problem, verdict.named, verdict.certainty) for verdict in (one, other)] == [(PendingReason.WRONG_ID, None, None)] * 2


def test_the_order_of_replies_changes_nothing() -> None:
    rows = [f"row {number}" for number in range(7)]
    questions = [question(row) for row in rows]
    then: dict[str, Fault] = {"row 2": says(hostile.another_id), "row 3": status(400), "row 5": says(hostile.half)}
    found = []
    draw = Random(5)
    for _ in range(8):
        order = draw.sample(rows, len(rows))
        turn = InOrder(order)

        def in_turn(turn: InOrder, fault: Fault | None) -> Fault:
            return lambda exchange: turn(exchange, fault)

        with HostileServer(faults={row: [in_turn(turn, then.get(row))] for row in rows}) as server:
            asked = draw.sample(questions, len(questions))
            verdicts = verdicts_of(ask_all(lambda server=server: client(server), asked), asked)  # type: ignore[misc]
        found.append(sorted(map(facts, verdicts), key=lambda row: str(row["subject"])))
    assert all(other == found[0] for other in found)
    assert [row["problem"] for row in found[0]] == [None, None, None, PendingReason.REFUSED, None, None, None]


def test_a_verdict_says_where_it_is_from() -> None:
    asked = question("row", QuestionKind.VIEWPOINT, "left", has_reference=True)
    before = datetime.now(UTC)
    with HostileServer() as server:
        (verdict,) = verdicts_of(ask_all(lambda: client(server), [asked]), [asked])
        (request,) = server.requests
    prompt = PROMPTS[QuestionKind.VIEWPOINT]
    assert is_right(verdict, has_reference=True)
    assert verdict.verdict_id == verdict.request_id == request.request_id
    assert verdict.answer == request.text
    assert (verdict.model, verdict.finish_reason, verdict.pictures) == (MODEL, "stop", 2)
    assert (verdict.prompt, verdict.prompt_version, verdict.prompt_hash) == (prompt.name, prompt.version, prompt.hash)
    assert verdict.picture_hash == asked.picture_hash(PICTURES.pixels, PICTURES.jpeg_quality)
    assert (verdict.prompt_tokens, verdict.completion_tokens) == (103, len(request.text))
    assert verdict.latency_seconds is not None
    assert 0 < verdict.latency_seconds < 60
    assert before <= verdict.answered_at <= before + timedelta(minutes=1)


def test_what_is_sent() -> None:
    asked = question("row")
    with HostileServer(key=KEY) as server:
        verdicts_of(ask_all(lambda: client(server, key=KEY), [asked]), [asked])
        (request,) = server.requests
    assert request.headers["x-request-id"] == f"{request.request_id}-1"
    body = request.body
    assert set(body) == {"model", "messages", "temperature", "max_tokens", "response_format"}  # above all no seed
    assert (body["model"], body["temperature"], body["max_tokens"]) == (MODEL, 0, 256)
    form = body["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    assert form["json_schema"]["schema"] == answer_schema(QuestionKind.EXPRESSION, request.request_id, False)


def test_a_caption_is_given_more_room_and_twice_as_much_when_it_was_not_enough() -> None:
    asked = question("row", QuestionKind.CAPTION, None, has_reference=True)
    with HostileServer(faults={"row": [says(hostile.half, "length")]}) as server:
        (verdict,) = verdicts_of(ask_all(lambda: client(server), [asked]), [asked])
    assert is_right(verdict)
    assert [request.body["max_tokens"] for request in server.requests] == [768, 1536]


def test_the_repetition_shows_the_answer_and_what_is_wrong_with_it() -> None:
    asked = question("row")
    with HostileServer(faults={"row": [says(hostile.duplicated_key)]}) as server:
        (verdict,) = verdicts_of(ask_all(lambda: client(server), [asked]), [asked])
    first, second = server.requests
    assert (first.request_id, second.request_id) == (verdict.verdict_id, verdict.request_id)
    answer, complaint = second.body["messages"][-2:]
    assert answer == {"role": "assistant", "content": hostile.duplicated_key(first)}
    assert "a key is there twice" in complaint["content"]
    assert second.request_id in complaint["content"]
    assert second.body["max_tokens"] == first.body["max_tokens"]


def test_useless_words_are_kept_when_the_repetition_brings_none() -> None:
    asked = question("row")
    with HostileServer(faults={"row": [says(lambda _: "Happy, I think.")]}, always={"row": status(503)}) as server:
        (verdict,) = verdicts_of(ask_all(lambda: client(server), [asked]), [asked])
    assert (verdict.problem, verdict.attempts, verdict.repaired) == (PendingReason.SERVER_ERROR, 3, True)
    assert (verdict.answer, verdict.finish_reason, verdict.request_id) == ("Happy, I think.", "stop", verdict.verdict_id)


def test_a_verdict_is_known_by_pictures_question_prompt_and_model() -> None:
    with HostileServer() as server:
        judge = client(server)
        asked = question("row")
        assert judge.verdict_id(asked) == client(server).verdict_id(replace(asked, subject="another anchor"))
        others = [
            judge.verdict_id(replace(asked, stated="sad")),
            judge.verdict_id(replace(asked, pictures=(Picture(1, (0, 0, 5, 5)),))),
            judge.verdict_id(replace(asked, kind=QuestionKind.GLOBAL)),
            JudgeClient("other", PROMPTS, QUICK, PICTURES, NO_KEY).verdict_id(asked),
            JudgeClient(MODEL, PROMPTS, QUICK, PictureOptions(jpeg_quality=50), NO_KEY).verdict_id(asked),
            JudgeClient(MODEL, PROMPTS | {asked.kind: replace(PROMPTS[asked.kind], hash="0")}, QUICK, PICTURES, NO_KEY).verdict_id(asked),
        ]
        assert len({judge.verdict_id(asked), *others}) == 7


def test_an_error_of_this_program_is_of_its_row_alone(caplog: pytest.LogCaptureFixture) -> None:
    questions = [question("well"), replace(question("broken"), pictures=())]
    with HostileServer() as server:
        judge = lambda: client(server)  # noqa: E731
        well, broken = verdicts_of(ask_all(judge, questions), questions)
    assert is_right(well)
    assert (broken.problem, broken.attempts) == (PendingReason.SERVER_ERROR, 0)
    assert broken.message is not None
    assert "unexpected ValueError" in broken.message
    assert "broken: unexpected ValueError" in caplog.text


def forgets(code: int, server: Callable[[], HostileServer]) -> Fault:
    """A server that has another key or model from the first request on."""

    async def fault(exchange: Exchange) -> None:
        server().models_fault = status(code)
        await status(code, "no such model")(exchange)

    return fault


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_is_refused_ends_the_asking_and_keeps_what_came_back(code: int) -> None:
    questions = [question("well"), question("refused")]
    server = HostileServer(crowd=2)
    server.always = {"refused": forgets(code, lambda: server)}
    with server:
        well, refused = ask_all(lambda: client(server), questions)
        assert isinstance(well, Verdict)
        assert is_right(well)
        assert isinstance(refused, JudgeGone)
        assert str(refused) == f"the judge cannot be asked: {server.url}: it refuses the key ({code}): set GLORIA_JUDGE_API_KEY"


def test_one_server_of_two_that_has_no_model_any_more_is_no_loss() -> None:
    questions = [question(f"row {number}") for number in range(20)]
    other = HostileServer()
    other.always = {one.subject: forgets(404, lambda: other) for one in questions}
    with HostileServer() as server, other:
        verdicts = verdicts_of(ask_all(lambda: client(server, other), questions), questions)
    assert all(map(is_right, verdicts))
    assert 1 <= len(other.requests) <= 8
    assert len(server.requests) == 20


def test_a_server_with_another_model_is_never_asked_beside_one_with_the_right_one() -> None:
    questions = [question(f"row {number}") for number in range(20)]
    with HostileServer() as server, HostileServer(models=["another"]) as other:
        verdicts = verdicts_of(ask_all(lambda: client(server, other), questions), questions)
    assert all(map(is_right, verdicts))
    assert (other.probes > 0, other.requests) == (True, [])


def test_a_dummy_key_is_not_taken_out_of_answers() -> None:
    asked = [question("a row that may be anything", QuestionKind.CAPTION, None)]
    with HostileServer(key="may") as server:
        (verdict,) = verdicts_of(ask_all(lambda: client(server, key="may"), asked), asked)
    assert is_right(verdict)
    assert "may" in (verdict.caption or "")
    assert "may" in (verdict.answer or "")


def test_a_client_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/there/is/no/such/file")
    with pytest.raises(JudgeGone, match="SSL_CERT_FILE"):
        JudgeClient(MODEL, PROMPTS, QUICK, PICTURES, NO_KEY)


def test_the_key_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    def parrot(request: hostile.Request) -> str:
        return request.headers["authorization"]

    questions = [question("said"), question("scolded"), question("well")]
    always: dict[str, Fault] = {"said": says(parrot), "scolded": status(400, f"your Bearer {KEY} is of no use")}
    with caplog.at_level(logging.DEBUG), HostileServer(always=always, key=KEY) as server:
        verdicts = verdicts_of(ask_all(lambda: client(server, key=KEY), questions), questions)
        judge = client(server, key=KEY)
        told = [*map(repr, verdicts), repr(judge), repr(judge._endpoints), repr(judge._redaction)]
    assert "Bearer ***" in (verdicts[0].answer or "")
    assert "Bearer ***" in (verdicts[1].message or "")
    assert all(KEY not in text for text in [*told, caplog.text, json.dumps(verdict_rows(verdicts).to_pylist(), default=str)])
    assert "base64," not in caplog.text


def test_as_many_as_may_are_under_way_and_never_more() -> None:
    questions = [question(f"row {number}") for number in range(60)]
    with HostileServer(crowd=16) as server:
        verdicts = verdicts_of(ask_all(lambda: client(server, options=replace(QUICK, in_flight=16)), questions), questions)
    assert all(map(is_right, verdicts))
    assert server.most_in_flight == 16
    assert len(server.requests) == 60


def test_a_row_that_is_given_up_leaves_its_place_to_the_next() -> None:
    async def act(server: HostileServer) -> Verdict:
        judge = client(server, options=replace(QUICK, in_flight=1))
        first = asyncio.create_task(judge.ask(question("hangs"), [b"hangs"]))
        second = asyncio.create_task(judge.ask(question("well"), [b"well"]))
        while not server.requests:
            await asyncio.sleep(0.001)
        first.cancel()
        verdict = await second
        assert first.cancelled()
        await judge.close()
        return verdict

    with HostileServer(always={"hangs": hostile.hang}) as server:
        assert is_right(asyncio.run(act(server)))


class Told(logging.Handler):
    """Sees to it that something happens when a log says so."""

    def __init__(self, words: str, then: Callable[[], None]) -> None:
        super().__init__()
        self.words = words
        self.then = then

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.then()

    def __enter__(self) -> None:
        logging.getLogger("pipeline.refine.endpoints").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("pipeline.refine.endpoints").removeHandler(self)


def dies(exchange_number: int, server: Callable[[], HostileServer]) -> Fault:
    """A server that is killed by a request of this number, counted over all rows."""

    async def fault(exchange: Exchange) -> None:
        if len(server().requests) == exchange_number:
            asyncio.get_running_loop().create_task(server()._stop())
            await server().forever.wait()
        await exchange.complete(exchange.request.text)

    return fault


def dying_server(rows: Sequence[str], number: int, **settings: Any) -> HostileServer:
    server = HostileServer(**settings)
    server.always = {row: dies(number, lambda: server) for row in rows}
    return server


def test_a_server_that_is_killed_and_started_again_leaves_no_row_behind() -> None:
    questions = [question(f"row {number}") for number in range(30)]
    options = replace(QUICK, attempts=1, timeout_seconds=60.0)  # what a server's end costs is no attempt
    with dying_server([one.subject for one in questions], 12) as server, Told("is not asked until it is back", server.start):
        verdicts = verdicts_of(ask_all(lambda: client(server, options=options), questions), questions)
    assert all(map(is_right, verdicts))
    assert 30 < len(server.requests) <= 30 + 8
    assert sum(verdict.attempts for verdict in verdicts) >= len(server.requests)


def test_a_server_that_never_returns_ends_the_asking_and_what_came_back_is_kept() -> None:
    questions = [question(f"row {number}") for number in range(30)]
    options = replace(QUICK, patience_minutes=0.005)
    with dying_server([one.subject for one in questions], 12) as server:
        outcomes = ask_all(lambda: client(server, options=options), questions)
    kept = [outcome for outcome in outcomes if isinstance(outcome, Verdict)]
    gone = [outcome for outcome in outcomes if not isinstance(outcome, Verdict)]
    assert all(map(is_right, kept))
    assert len(kept) >= 4
    assert len(gone) >= 10
    assert all(isinstance(error, JudgeGone) for error in gone)
    assert str(gone[0]).startswith(f"no reply from the judge for 0.005 minutes ({server.url}: ConnectError")
    assert "docs/refinement.md" in str(gone[0])


def test_two_servers_share_the_load() -> None:
    questions = [question(f"row {number}") for number in range(80)]
    with HostileServer() as one, HostileServer() as other:
        verdicts = verdicts_of(ask_all(lambda: client(one, other), questions), questions)
    assert all(map(is_right, verdicts))
    assert len(one.requests) + len(other.requests) == 80
    assert 30 <= len(one.requests) <= 50


def test_one_of_two_servers_that_goes_away_is_no_loss() -> None:
    questions = [question(f"row {number}") for number in range(40)]
    with HostileServer() as one, dying_server([asked.subject for asked in questions], 8) as other:
        verdicts = verdicts_of(ask_all(lambda: client(one, other, options=replace(QUICK, attempts=1)), questions), questions)
    assert all(map(is_right, verdicts))
    assert len(other.requests) < 20
    assert len(one.requests) >= 28


def test_a_server_that_comes_back_with_another_model_is_not_asked() -> None:
    questions = [question(f"row {number}") for number in range(20)]

    before: list[int] = []

    def start_another() -> None:
        before.append(len(server.requests))
        server.models = ["another"]
        server.start()

    with dying_server([one.subject for one in questions], 8) as server, Told("is not asked until it is back", start_another):
        outcomes = ask_all(lambda: client(server, options=replace(QUICK, patience_minutes=0.02)), questions)
    gone = [outcome for outcome in outcomes if isinstance(outcome, JudgeGone)]
    assert before == [len(server.requests)]
    assert gone
    assert f"it serves another now, not {MODEL}" in str(gone[-1])


def test_the_model_that_is_served_is_found_from_here() -> None:
    with HostileServer() as server:
        assert asyncio.run(served_model([server.url], None, NO_KEY, QUICK)) == MODEL
