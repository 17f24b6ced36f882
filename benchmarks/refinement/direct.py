"""The simulated judge without a network: the client's questions answered on the spot, for more of them than a server could take in good time."""

from collections.abc import Mapping, Sequence

from benchmarks.refinement.judge import CERTAINTY, SimulatedJudge
from pipeline.refine.client import Heard, JudgeClient
from pipeline.refine.options import PictureOptions, ServerOptions
from pipeline.refine.prompting import Prompt
from pipeline.refine.questions import Question
from pipeline.refine.redaction import NO_KEY
from pipeline.refine.verdicts import Verdict
from schemas.answers import Answer
from schemas.vocabulary import Expression, QuestionKind


class DirectClient(JudgeClient):
    """A client that is its own server."""

    def __init__(self, judge: SimulatedJudge, prompts: Mapping[QuestionKind, Prompt]) -> None:
        super().__init__(judge.model, prompts, ServerOptions(), PictureOptions(), NO_KEY)
        self._judge = judge

    async def ask(self, question: Question, jpegs: Sequence[bytes]) -> Verdict:
        """The verdict that a server with this judge would have given."""
        assert question.stated is not None, "only expressions are asked about"
        named = self._judge.name(jpegs[-1], Expression.from_word(question.stated)).word
        return self._verdict(question, Heard(self.verdict_id(question), requests=1, answer=Answer(named, None, (), CERTAINTY, None)))
