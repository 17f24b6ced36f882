"""Which expression a face of a character shows, or why that cannot be said.

Where a character has enough likely neutral faces, each face is judged against the character's own neutral one: a face whose corners
of the mouth hang by nature is not sad. Everything else is a threshold of its own for each class, since the classes are not read
equally well; a wrong anchor is worse than none.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.perception.expression_calibration import FEATURE_COUNT, Calibration, descriptors, movement, own_neutral, shipped
from schemas.vocabulary import Expression, RejectReason


@dataclass(frozen=True, slots=True)
class LeastConfidence:
    """The calibrated probability from which a class is believed, 0..1.

    With these, a calibration fitted on one of the two labelled sets of ``benchmarks.accuracy`` is right on the other in 9 of 10 faces
    it believes: happy, angry (in one set only) and surprise more often, neutral and sad in 3 of 4. The thresholds were chosen on the
    same two sets, so expect somewhat less. Hardly a picture supports fear, disgust and contempt,
    which therefore ask for more.
    """

    neutral: float = 0.7
    """probability from which neutral is believed, 0..1"""
    happy: float = 0.6
    """probability from which happy is believed, 0..1"""
    sad: float = 0.75
    """probability from which sad is believed, 0..1"""
    angry: float = 0.75
    """probability from which angry is believed, 0..1"""
    surprise: float = 0.6
    """probability from which surprise is believed, 0..1"""
    fear: float = 0.85
    """probability from which fear is believed, 0..1"""
    disgust: float = 0.85
    """probability from which disgust is believed, 0..1"""
    contempt: float = 0.85
    """probability from which contempt is believed, 0..1"""


@dataclass(frozen=True, slots=True)
class Movements:
    """What the face mesh must show besides, 0..1: a mouth that speaks looks like a smile or like surprise to the networks.

    Attributes:
        happy_smile: corners of the mouth at least this far up.
        surprise_jaw: jaw at least this far open.
        neutral_smile: corners of the mouth at most this far up.
        neutral_jaw: jaw at most this far open.
    """

    happy_smile: float = 0.35
    surprise_jaw: float = 0.3
    neutral_smile: float = 0.25
    neutral_jaw: float = 0.15

    def contradict(self, features: NDArray[np.float32], codes: NDArray[np.integer]) -> NDArray[np.bool_]:
        """(N,) whether the mesh speaks against the class; never where there is no mesh."""
        smile, jaw = movement(features, "mouthSmile"), movement(features, "jawOpen")
        happy, surprise, neutral = (codes == code for code in (Expression.HAPPY, Expression.SURPRISE, Expression.NEUTRAL))
        against = happy & (smile < self.happy_smile) | surprise & (jaw < self.surprise_jaw)
        return np.asarray(against | neutral & ((smile > self.neutral_smile) | (jaw > self.neutral_jaw)), np.bool_)


@dataclass(frozen=True, slots=True)
class ExpressionOptions:
    """How probabilities become expressions.

    Attributes:
        least_confidence: by class.
        movements: what the face mesh must show besides.
        largest_yaw: degrees to either side; beyond, the classifiers guess.
        largest_pitch: degrees up or down.
        own_neutral: judge a character's faces against its own neutral face, where there is enough of it.
        neutral_probability: from which a face counts for the character's own neutral one, 0..1.
        neutral_faces: fewer such faces are too few.
        neutral_share: at most this share of a character's faces, the likeliest, makes its own neutral face.
    """

    least_confidence: LeastConfidence = field(default_factory=LeastConfidence)
    movements: Movements = field(default_factory=Movements)
    largest_yaw: float = 30.0
    largest_pitch: float = 25.0
    own_neutral: bool = True
    neutral_probability: float = 0.4
    neutral_faces: int = 8
    neutral_share: float = 0.25


@dataclass(frozen=True)
class Expressions:
    """What N faces express.

    Attributes:
        codes: (N,) int8 Expression code, -1 where it abstains.
        leaning: (N,) int8, the likeliest Expression where it abstains for want of certainty alone; -1 elsewhere.
        confidence: (N,) float32, the probability of the likeliest class; NaN without probabilities.
        probabilities: (N, 8) float32, against the character's own neutral face where that is known; NaN rows without a face.
        reasons: why it abstains, None where it does not.
    """

    codes: NDArray[np.int8]
    leaning: NDArray[np.int8]
    confidence: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    reasons: list[RejectReason | None]


def classify_expressions(
    features: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    yaw: NDArray[np.float32],
    pitch: NDArray[np.float32],
    options: ExpressionOptions | None = None,
    calibration: Calibration | None = None,
) -> Expressions:
    """Classify the faces of one character.

    Args:
        features: (N, F) of the classifier; recalibrated when they are the embedded one's, else only probabilities count.
        probabilities: (N, 8), NaN rows where there was no face.
        yaw: (N,) of the head, degrees, NaN where it is not known.
        pitch: likewise.
        options: the defaults when None.
        calibration: of the embedded classifier; the one that comes with this release when None.
    """
    options = options or ExpressionOptions()
    embedded = features.ndim == 2 and features.shape[1] == FEATURE_COUNT
    if embedded:
        probabilities = _recalibrated(features, probabilities, yaw, pitch, options, calibration or shipped())
    answered = _answered(probabilities)
    filled = np.where(answered[:, None], probabilities, 0)
    likeliest = filled.argmax(axis=1)
    confidence = np.where(answered, filled.max(axis=1, initial=0), np.nan).astype(np.float32)
    least = np.array([getattr(options.least_confidence, word) for word in Expression.words()])
    reasons: list[RejectReason | None] = [None] * len(answered)
    doubtful = (confidence < least[likeliest]) | (options.movements.contradict(features, likeliest) if embedded else False)
    for applies, reason in (
        (~answered, RejectReason.NO_EXPRESSION),
        (np.isnan(yaw) | np.isnan(pitch), RejectReason.NO_ANGLE),
        (~_frontal(yaw, pitch, options), RejectReason.NOT_FRONTAL),
        (doubtful, RejectReason.UNCERTAIN_EXPRESSION),
    ):
        for row in np.flatnonzero(applies):
            reasons[row] = reasons[row] or reason
    codes = np.where([reason is None for reason in reasons], likeliest, -1).astype(np.int8)
    leaning = np.where([reason is RejectReason.UNCERTAIN_EXPRESSION for reason in reasons], likeliest, -1).astype(np.int8)
    return Expressions(codes, leaning, confidence, probabilities.astype(np.float32), reasons)


def _recalibrated(
    features: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    yaw: NDArray[np.float32],
    pitch: NDArray[np.float32],
    options: ExpressionOptions,
    calibration: Calibration,
) -> NDArray[np.float32]:
    """Probabilities computed anew, so that another calibration needs no video; rows without a face stay NaN."""
    answered = _answered(probabilities)
    anew = np.full(probabilities.shape, np.nan, np.float32)
    anew[answered] = calibration.probabilities(features[answered])
    shown = np.flatnonzero(answered & _frontal(yaw, pitch, options))
    if options.own_neutral and len(shown):
        neutral = anew[shown, Expression.NEUTRAL]
        own = own_neutral(descriptors(features[shown]), neutral, options.neutral_probability, options.neutral_faces, options.neutral_share)
        anew[answered] = calibration.probabilities(features[answered], own)
    return anew


def _answered(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(probabilities).all(axis=1), np.bool_)


def _frontal(yaw: NDArray[np.float32], pitch: NDArray[np.float32], options: ExpressionOptions) -> NDArray[np.bool_]:
    """(N,) whether the head faces the camera well enough to be read; not where an angle is NaN."""
    return np.asarray((np.abs(yaw) <= options.largest_yaw) & (np.abs(pitch) <= options.largest_pitch), np.bool_)
