"""What can be chosen about refining."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the judge is and how it is spoken to. Has no influence on what is asked.

    Attributes:
        urls: base URLs of OpenAI-compatible servers of one and the same model, such as http://HOST:8000/v1; several share the load. None: nobody is
            asked. The environment variable GLORIA_JUDGE_API_KEY holds their key, if they want one.
        in_flight: requests under way at the same time, per worker.
        connect_seconds: seconds to reach the server.
        timeout_seconds: seconds for a whole reply, from the request on.
        attempts: starts of a request that meets a lost connection, a timeout, 408, 409, 429 or 5xx, until its question is left pending.
        patience_minutes: minutes without any reply until the judge is given up; what came back is kept.
        largest_reply: bytes of a reply; what is larger is not read to its end.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)  # there may be passwords in them
    in_flight: int = 16
    connect_seconds: float = 5.0
    timeout_seconds: float = 120.0
    attempts: int = 5
    patience_minutes: float = 5.0
    largest_reply: int = 2**20

    def __post_init__(self) -> None:
        if wrong := [url for url in self.urls if not _is_address(url)]:
            shown = ", ".join(url.rpartition("@")[2].partition("?")[0] for url in wrong)  # without what may be secret
            raise ValueError(f"refine: urls must be one or more addresses such as http://HOST:8000/v1, not {shown}")
        if min(self.in_flight, self.attempts) < 1 or min(self.connect_seconds, self.timeout_seconds, self.largest_reply) <= 0 or self.patience_minutes < 0:
            raise ValueError(f"refine: in_flight and attempts must be at least 1, times and largest_reply above 0: {self}")


def _is_address(url: str) -> bool:
    """Whether a text is an HTTP address with a host, and with a port there can be if it names one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """The pictures that are sent.

    Attributes:
        pixels: width times height of a picture at most, the size the model looks at; smaller ones are not enlarged.
        jpeg_quality: of the pictures as JPEG files, 1 to 95.
        caption_frames: frames of a clip, evenly spread, beside the character's global anchor.
    """

    pixels: int = 448 * 448
    jpeg_quality: int = 90
    caption_frames: int = 3

    def __post_init__(self) -> None:
        if self.pixels < 28 * 28 or not 1 <= self.jpeg_quality <= 95 or self.caption_frames < 1:
            raise ValueError(f"refine: pixels must be at least 784, jpeg_quality 1 to 95, caption_frames at least 1: {self}")


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """Who is asked about, and what is made of the answers.

    Attributes:
        questions_per_anchor: questions of a bin at most, per anchor wanted in it.
        least_confidence: of the classifier, 0..1, for a face whose expression it leaves open to be asked about; 1: never.
        least_certainty: of the judge, 1 to 5, for its answer to count.
        relabel_below: of the classifier's confidence, 0..1: a candidate that was less sure, and for which the judge names another class,
            competes in that bin. 0: none does. Where the classifier was sure and the judge disagrees, neither is believed.
    """

    questions_per_anchor: int = 3
    least_confidence: float = 0.3
    least_certainty: int = 3
    relabel_below: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.least_confidence, self.relabel_below)
        if self.questions_per_anchor < 1 or not all(0 <= share <= 1 for share in shares) or not 1 <= self.least_certainty <= 5:
            raise ValueError(f"refine: questions_per_anchor must be at least 1, least_confidence and relabel_below 0 to 1, least_certainty 1 to 5: {self}")


@dataclass(frozen=True, slots=True)
class RefineOptions:
    """How a multimodal model judges the anchors and captions the clips.

    Attributes:
        server: where the judge is and how it is spoken to.
        pictures: what it is shown.
        policy: who is asked about, and what is made of the answers.
        model: which of the models that the servers offer; needed only when there are several.
        prompts: folder of prompt files (global.txt, viewpoint.txt, expression.txt, caption.txt) to use instead of those that ship; any of the four.
        characters_at_once: characters that a worker asks about at the same time, so that the judge has work while frames are decoded.
        decoder: what reads the frames.
        threads: of a decoder; there is one per character in hand.
    """

    server: ServerOptions = field(default_factory=ServerOptions)
    pictures: PictureOptions = field(default_factory=PictureOptions)
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    model: str | None = None
    prompts: str | None = None
    characters_at_once: int = 8
    decoder: Literal["pyav", "decord"] = "pyav"
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.characters_at_once, self.threads) < 1:
            raise ValueError(f"refine: characters_at_once and threads must be at least 1: {self}")
