"""From the features of a face to probabilities: a small fitted model, and what to do when the person's own neutral face is known.

The features are (66,) per face:

    0..6    fer's mean log-probabilities, classes in the order of the vocabulary's first seven codes
    7..13   face-api's, the same
    14..65  the face mesh's 52 blendshape coefficients in MediaPipe's order (MESH_NAMES); NaN where there was no mesh

The model is a multinomial logistic regression on *descriptors*: the log-probabilities, centred so that only their differences count,
and the coefficients without the gaze, left and right averaged. It was held close to the geometric mean of the two networks while it
was fitted, and it has no intercepts: the share of a class among posed or collected pictures says nothing about a video.
benchmarks/fit_expression_calibration.py fits it.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from schemas.vocabulary import Expression

Array = NDArray[np.float64]

FER, FACEAPI, MESH = slice(0, 7), slice(7, 14), slice(14, 66)
FEATURE_COUNT = 66
KNOWN = 7
"""Classes the networks know: the vocabulary's first seven."""
LEAST_LOG_PROBABILITY = -7.0
"""A network's logarithms are cut off here; what lies below is noise."""
NETWORK_WEIGHT = 0.5
"""Weight of each network's logarithms as long as nothing is fitted: their geometric mean."""
SHIPPED = Path(__file__).with_suffix(".json")

# fmt: off
MESH_NAMES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
# fmt: on


def _movement(name: str) -> str | None:
    """The movement a coefficient measures, without its side; None for what is no expression."""
    return None if name.startswith(("_", "eyeLook")) else name.removesuffix("Left").removesuffix("Right")


MOVEMENTS = tuple(dict.fromkeys(unsided for name in MESH_NAMES if (unsided := _movement(name))))
"""Names of the descriptors that come from the mesh."""
DESCRIPTORS = 2 * KNOWN + len(MOVEMENTS)

_AVERAGES = np.array([[_movement(name) == unsided for unsided in MOVEMENTS] for name in MESH_NAMES], np.float64)
_AVERAGES /= _AVERAGES.sum(axis=0)


_FIGURES = ("weights", "center", "scale", "neutral")


def descriptors(features: NDArray[np.floating]) -> Array:
    """What the model looks at, (N, DESCRIPTORS) of features (N, 66); NaN where the features are."""
    values = np.asarray(features, np.float64)
    networks = [values[:, part] - values[:, part].mean(axis=1, keepdims=True) for part in (FER, FACEAPI)]
    return np.hstack([*networks, values[:, MESH] @ _AVERAGES])


def movement(features: NDArray[np.floating], name: str) -> Array:
    """(N,) how strong one of MOVEMENTS is, 0..1, NaN without a mesh, of features (N, 66)."""
    return np.asarray(np.asarray(features, np.float64)[:, MESH] @ _AVERAGES[:, MOVEMENTS.index(name)], np.float64)


@dataclass(frozen=True)
class Calibration:
    """A fitted model.

    Attributes:
        fitted_on: the labelled sets, in words.
        fitted_at: the date.
        command: what fits it again.
        weights: (7, DESCRIPTORS), of the descriptors divided by scale after center was subtracted.
        center, scale: (DESCRIPTORS,) of the pictures it was fitted on.
        neutral: (DESCRIPTORS,) of a neutral face, the median over many people.
        own_share: how much of a person's own neutral face is taken out, 0..1.
    """

    fitted_on: str
    fitted_at: str
    command: str
    weights: Array
    center: Array
    scale: Array
    neutral: Array
    own_share: float

    def __post_init__(self) -> None:
        shapes = {"weights": (KNOWN, DESCRIPTORS), "center": (DESCRIPTORS,), "scale": (DESCRIPTORS,), "neutral": (DESCRIPTORS,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"calibration: {name} has the shape {getattr(self, name).shape}, not {shape}; fit it again")

    def probabilities(self, features: NDArray[np.floating], own_neutral: Array | None = None) -> NDArray[np.float32]:
        """Calibrated probabilities (N, 8), contempt 0, of features (N, 66); NaN rows where a network's answer is missing.

        Args:
            features: laid out as above.
            own_neutral: (DESCRIPTORS,) of the person's own neutral face (see own_neutral), when there is enough of it.
        """
        values = descriptors(features)
        if own_neutral is not None and self._looks_like_something(own_neutral):
            values = values - self.own_share * np.nan_to_num(own_neutral - self.neutral)
        shares = self._shares(values)
        answers = np.zeros((len(values), len(Expression)), np.float32)
        answers[:, :KNOWN] = shares
        answers[np.isnan(shares).any(axis=1)] = np.nan
        return answers

    def _looks_like_something(self, own_neutral: Array) -> bool:
        """Whether a person's neutral face is less neutral than others'. Taking out that it is more so would only hide it."""
        own, others = self._shares(np.stack([own_neutral, self.neutral]))[:, Expression.NEUTRAL]
        return bool(own < others)

    def _shares(self, values: Array) -> Array:
        scores = self.standardized(values) @ self.weights.T
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float64)

    def standardized(self, values: Array) -> Array:
        """Descriptors (N, DESCRIPTORS) as the weights expect them; a face without a mesh counts as an average one in that part."""
        standard = (values - self.center) / self.scale
        mesh = standard[:, 2 * KNOWN :]
        mesh[np.isnan(mesh)] = 0.0
        return standard

    def to_json(self) -> str:
        """As text: the provenance, then the figures."""
        figures = {name: np.round(getattr(self, name), 5).tolist() for name in _FIGURES}
        provenance = {"fitted_on": self.fitted_on, "fitted_at": self.fitted_at, "command": self.command, "own_share": self.own_share}
        return json.dumps(provenance | figures) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what to_json wrote.

        Raises:
            ValueError: it is of other descriptors than this release's.
        """
        values = json.loads(text)
        weights, center, scale, neutral = (np.array(values[name], np.float64) for name in _FIGURES)
        return cls(values["fitted_on"], values["fitted_at"], values["command"], weights, center, scale, neutral, values["own_share"])


def own_neutral(values: Array, neutral_probability: NDArray[np.floating], least_probability: float, least_count: int, most_share: float) -> Array | None:
    """A person's own neutral face: the median descriptors (DESCRIPTORS,) over the faces most likely neutral, without any label.

    Args:
        values: (N, DESCRIPTORS) of one person.
        neutral_probability: (N,) of these faces, each by itself.
        least_probability: faces less likely neutral are not used: who cries all the time shows no neutral face.
        least_count: fewer such faces are no evidence: None.
        most_share: at most this share of the N faces is used, the likeliest.
    """
    likely = np.flatnonzero(neutral_probability >= least_probability)
    if len(likely) < least_count:
        return None
    most = max(least_count, round(most_share * len(values)))
    used = likely[np.argsort(-neutral_probability[likely], kind="stable")[:most]]
    chosen = values[used]
    seen = ~np.isnan(chosen).all(axis=0)
    median = np.full(DESCRIPTORS, np.nan)
    median[seen] = np.nanmedian(chosen[:, seen], axis=0)
    return median


@cache
def geometric_mean() -> Calibration:
    """The calibration fitted on nothing: both networks count the same, the mesh does not count."""
    weights, zeros = np.zeros((KNOWN, DESCRIPTORS)), np.zeros(DESCRIPTORS)
    weights[:, FER] = weights[:, FACEAPI] = NETWORK_WEIGHT * np.eye(KNOWN)
    return Calibration("nothing", "", "", weights, zeros, np.ones(DESCRIPTORS), zeros, 0.0)


@cache
def shipped() -> Calibration:
    """The calibration that comes with this release."""
    return Calibration.from_json(SHIPPED.read_text())
