"""The words of the project and their integer codes.

Words go into parquet tables, codes into RoPE offsets and arrays of probabilities. Both are on disk in other people's
buckets: append only, never renumber, never rename.
"""

from enum import Enum, IntEnum, StrEnum
from typing import Self


class Coded(IntEnum):
    """An enum whose members have a stable integer code (``int(member)``) and a word (``member.word``)."""

    @property
    def word(self) -> str:
        """The lower-case word that tables and samples store."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> Self:
        """The member of a stored word.

        Raises:
            ValueError: the word is none of this enum's; the message lists those that are.
        """
        try:
            return cls[word.upper()]
        except KeyError:
            raise ValueError(f"{word!r} is not a {cls.__name__}; the words are {', '.join(cls.words())}") from None

    @classmethod
    def words(cls) -> list[str]:
        """All words, in the order of their codes."""
        return [member.word for member in sorted(cls)]


class AnchorKind(Coded):
    """What a content anchor shows (Gloria, section 3: global, viewpoint, expression)."""

    GLOBAL = 0
    VIEWPOINT = 1
    EXPRESSION = 2


class Viewpoint(Coded):
    """The side of the character that the camera sees. LEFT: the character's left profile, the nose points to image-left."""

    FRONT = 0
    LEFT = 1
    RIGHT = 2
    BACK = 3


class Expression(Coded):
    """Emotion classes, also the order of every array of expression probabilities."""

    NEUTRAL = 0
    HAPPY = 1
    SAD = 2
    ANGRY = 3
    SURPRISE = 4
    FEAR = 5
    DISGUST = 6
    CONTEMPT = 7


class Status(StrEnum):
    """Where a candidate stands."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    PENDING = "pending"


class AngleSource(StrEnum):
    """Where an observation's head angles come from."""

    LANDMARKS = "landmarks"
    """A full face mesh: yaw, pitch and roll are measured."""
    POINTS = "points"
    """Five points alone, because the mesh gave up (full profile): the side is sure, the number of degrees is coarse."""
    MODEL = "model"
    """A pose network of a selectable backend."""


class ShotEdge(StrEnum):
    """Why a shot starts or ends where it does."""

    CUT = "cut"
    SEAM = "seam"
    """The seam between two segments of a long video that were observed apart; no cut was seen there."""
    VIDEO = "video"
    """The first or last frame of the video."""


class RejectReason(StrEnum):
    """Why a candidate did not become an anchor, or a span not a clip. One reason each: the first that applied."""

    # of a track
    TOO_FEW_FACES = "too_few_faces"
    """The track shows the face too rarely to know whose it is."""
    UNCERTAIN_IDENTITY = "uncertain_identity"
    """Its faces disagree with one another or lie between two characters."""
    # of an observation
    NO_CHARACTER = "no_character"
    """Its track belongs to no character."""
    FACE_TOO_SMALL = "face_too_small"
    PERSON_TOO_SMALL = "person_too_small"
    """As FACE_TOO_SMALL, of a person whose face is not seen."""
    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    CUT_OFF = "cut_off"
    """Part of the face (or of the person, for a view without a face) lies outside the frame."""
    NO_FACE = "no_face"
    NO_ANGLE = "no_angle"
    AMBIGUOUS_ANGLE = "ambiguous_angle"
    """In the dead zone between two views."""
    CONTRADICTED_ANGLE = "contradicted_angle"
    """Face and body, or neighbours in time, tell different stories."""
    NOT_FRONTAL = "not_frontal"
    NOT_NEUTRAL = "not_neutral"
    NO_EXPRESSION = "no_expression"
    """No classifier answer for this face."""
    UNCERTAIN_EXPRESSION = "uncertain_expression"
    # of a ranking
    TOO_CLOSE_IN_TIME = "too_close_in_time"
    """A better anchor of the same bin lies within the minimum distance."""
    OUTRANKED = "outranked"
    """Good enough, but the bin was full with better ones."""
    # of a clip
    TOO_SHORT = "too_short"
    NOT_VISIBLE_THROUGHOUT = "not_visible_throughout"
    ANOTHER_CHARACTER = "another_character"
    """Somebody else is as large as the main character."""
    TOO_FEW_ANCHORS = "too_few_anchors"
    """The character has no anchor that could go with the clip."""
    # of a judge
    JUDGED_ANOTHER_PERSON = "judged_another_person"
    """Not the person of the character's global anchor."""
    JUDGED_COVERED = "judged_covered"
    """A hand, hair or a thing hides part of the face."""
    JUDGED_BLURRED = "judged_blurred"
    JUDGED_BLINKING = "judged_blinking"
    JUDGED_SPEAKING = "judged_speaking"
    """Caught in the middle of a word: what the mouth does is no expression."""
    JUDGED_UNCLEAR = "judged_unclear"
    """The judge names no class, or is not sure enough."""
    JUDGED_ANOTHER_CLASS = "judged_another_class"
    """The judge names another class, and there is no bin of it where this candidate could compete."""
    QUESTIONS_SPENT = "questions_spent"
    """Its bin's share of questions went to candidates that were refused."""


class QuestionKind(StrEnum):
    """What a judge (a multimodal model) is asked."""

    GLOBAL = "global"
    VIEWPOINT = "viewpoint"
    EXPRESSION = "expression"
    CAPTION = "caption"


class Flaw(StrEnum):
    """What can be wrong with the face in a picture."""

    COVERED = "covered"
    BLURRED = "blurred"
    BLINKING = "blinking"
    SPEAKING = "speaking"


class Agreement(StrEnum):
    """A judge's answer to a question of yes or no."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


class Camera(StrEnum):
    """What the camera does in a clip."""

    STATIC = "static"
    PANNING = "panning"
    TILTING = "tilting"
    ZOOMING = "zooming"
    FOLLOWING = "following"
    HANDHELD = "handheld"
    UNSURE = "unsure"


class Decision(StrEnum):
    """What became of an anchor candidate that a judge was asked about."""

    ACCEPT = "accept"
    REJECT = "reject"
    RELABEL = "relabel"
    """The judge names another class: the candidate competes in that bin."""
    PENDING = "pending"
    """Nobody has answered yet, or not in a usable way."""


class PendingReason(StrEnum):
    """Why a judge's verdict is missing."""

    NOT_ASKED = "not_asked"
    """No judge was there, or it went away before this question's turn."""
    # an answer came, also after the question was repeated, and is of no use: asking again would bring it again
    INVALID_JSON = "invalid_json"
    WRONG_SCHEMA = "wrong_schema"
    WRONG_ID = "wrong_id"
    """It is the answer to another question."""
    CUT_SHORT = "cut_short"
    """The model did not come to an end within the tokens it may spend."""
    # no answer came, however often it was tried: another run asks again
    REFUSED = "refused"
    """The server does not take this very request (another 4xx), as it is set up."""
    TOO_LARGE = "too_large"
    """The reply's body is larger than any answer can be."""
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    # the question could not even be put
    NO_PICTURE = "no_picture"
    """The video's frames cannot be read; see failures."""

    @property
    def is_final(self) -> bool:
        """Whether asking the same model the same question again would be in vain."""
        return self in _IN_VAIN


_IN_VAIN = {
    PendingReason.INVALID_JSON,
    PendingReason.WRONG_SCHEMA,
    PendingReason.WRONG_ID,
    PendingReason.CUT_SHORT,
}


class FailureKind(StrEnum):
    """Why an input has no rows."""

    NOT_FOUND = "not_found"
    NO_PERMISSION = "no_permission"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    DAMAGED = "damaged"
    """It starts like a video but cannot be decoded to its end."""
    UNSUPPORTED = "unsupported"
    """A codec or pixel format that this decoder does not read; another one may."""
    STORAGE = "storage"
    """The file system or bucket answered with an error."""
    MISSING_DEPENDENCY = "missing_dependency"
    WORKER_DIED = "worker_died"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    BUG = "bug"
    """Anything that no other kind covers: an error in this project until shown otherwise."""


class Stage(StrEnum):
    """The stages of the pipeline, in the order the data flows."""

    PLAN = "plan"
    OBSERVE = "observe"
    SELECT = "select"
    REFINE = "refine"
    PACK = "pack"
    REPORT = "report"
    ENCODE = "encode"
    """From finished shards to shards with latents, in an output root of its own."""


SUBCLASSES: dict[AnchorKind, type[Coded] | None] = {
    AnchorKind.GLOBAL: None,
    AnchorKind.VIEWPOINT: Viewpoint,
    AnchorKind.EXPRESSION: Expression,
}
"""The subclass enum of each anchor kind; the global anchor has none."""


def words(vocabulary: type[Enum]) -> list[str]:
    """Every word of a vocabulary enum, coded or not, in the order of definition."""
    return [member.word if isinstance(member, Coded) else str(member.value) for member in vocabulary]
