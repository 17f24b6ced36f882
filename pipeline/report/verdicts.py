"""What a judge was asked in a run and what it answered, summed up video by video."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.refine.verdicts import Verdict
from schemas.vocabulary import PendingReason, QuestionKind


@dataclass
class VerdictSums:
    """Sums over videos; ``add`` one after the other, in any order.

    Attributes:
        questions: by kind.
        named: usable answers by kind, class that was stated and class that the judge named (None when it named none).
        problems: questions without a usable answer, by reason.
        models: questions by model.
        prompts: questions by name and version of the prompt.
        prompt_tokens: that the models read.
        completion_tokens: that they wrote.
        replies: requests whose latency is known.
        seconds: of these requests.
    """

    questions: Counter[QuestionKind] = field(default_factory=Counter)
    named: Counter[tuple[QuestionKind, str | None, str | None]] = field(default_factory=Counter)
    problems: Counter[PendingReason] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    prompts: Counter[tuple[str, str]] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replies: int = 0
    seconds: float = 0.0

    def add(self, verdicts: Iterable[Verdict]) -> None:
        """Add one video's verdicts, each once."""
        for verdict in verdicts:
            self.questions[verdict.question] += 1
            self.models[verdict.model] += 1
            self.prompts[verdict.prompt, verdict.prompt_version] += 1
            if verdict.problem is None:
                self.named[verdict.question, verdict.stated, verdict.named] += 1
            else:
                self.problems[verdict.problem] += 1
            self.prompt_tokens += verdict.prompt_tokens or 0
            self.completion_tokens += verdict.completion_tokens or 0
            if verdict.latency_seconds is not None:
                self.replies += 1
                self.seconds += verdict.latency_seconds

    @property
    def answered(self) -> int:
        """Questions with a usable answer."""
        return self.questions.total() - self.problems.total()

    @property
    def mean_latency(self) -> float | None:
        """Seconds from a request to its reply; None without replies."""
        return self.seconds / self.replies if self.replies else None
