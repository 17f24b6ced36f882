"""Which features belong to which latent frame: those around the middle of the time that its frames are shown.

Frame j is shown in [j / fps, (j + 1) / fps). In a chunk whose first frame is g, latent 0 stands for frame g and latent i for the frames
g + f i - f + 1 .. g + f i, with f the codec's temporal factor. Feature vector v stands for [v / 50, (v + 1) / 50).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from model.audio.checks import HOP
from model.audio.protocols import FEATURE_RATE, SAMPLE_RATE, AudioFeatures
from model.errors import ModelInputError

WINDOW = 25
"""Vectors per latent frame: half a second, twice what a latent frame of four shows at 16 frames per second, so that neighbours overlap."""


@dataclass(frozen=True, slots=True)
class AudioSpan:
    """The part of a waveform that a chunk needs.

    Attributes:
        first_vector, vectors: features of the whole waveform that the chunk's windows reach, none before the start.
        first_sample, samples: what to extract them from, the features' margin included; may reach behind the end of the waveform.
    """

    first_vector: int
    vectors: int
    first_sample: int
    samples: int

    def cut(self, features: Tensor) -> Tensor:
        """The features of the span, (vectors, D), out of those of its samples."""
        skipped = self.first_vector - self.first_sample // HOP
        return features[skipped : skipped + self.vectors]


def audio_windows(
    features: Tensor, first_vector: int, silence: Tensor, first_frame: int, latents: int, temporal_factor: int, frame_rate: float, window: int = WINDOW
) -> Tensor:
    """A window of features for each latent frame of a chunk; silence where features do not reach.

    Args:
        features: (T, D), consecutive.
        first_vector: the number of features[0] in the whole waveform.
        silence: (D,), see ``silence_vector``.
        first_frame: the number in the whole video of the frame that latent 0 stands for.
        latents: latent frames of the chunk.
        temporal_factor: frames per latent.
        frame_rate: frames per second.
        window: vectors per latent frame.

    Returns:
        (latents, window, D).

    Raises:
        ModelInputError: features and silence of different sizes, or a number below 1.
    """
    if features.ndim != 2 or silence.shape != features.shape[1:]:
        raise ModelInputError(f"features must be (vectors, size) and silence (size,), not {tuple(features.shape)} and {tuple(silence.shape)}")
    starts = torch.tensor(window_starts(first_frame, latents, temporal_factor, frame_rate, window))
    index = starts.unsqueeze(1) + torch.arange(window) - first_vector
    table = torch.cat([features, silence.to(features).unsqueeze(0)])
    index[(index < 0) | (index >= len(features))] = len(features)
    return table[index.to(features.device)]


def window_starts(first_frame: int, latents: int, temporal_factor: int, frame_rate: float, window: int = WINDOW) -> list[int]:
    """The number of the first vector of each latent frame's window; negative where it would be before the sound.

    Raises:
        ModelInputError: a number below 1.
    """
    if min(latents, temporal_factor, window) < 1 or not 0 < frame_rate < math.inf:
        raise ModelInputError(
            f"audio windows need at least one latent frame, a temporal factor, frames per second and a window above 0, "
            f"not {latents}, {temporal_factor}, {frame_rate} and {window}"
        )
    # Twice the middle of the time shown, in frames: a whole number, so that there is one rounding, the same however the video is cut into chunks.
    twice = [2 * first_frame + 1] + [2 * (first_frame + temporal_factor * latent + 1) - temporal_factor for latent in range(1, latents)]
    return [math.floor((middle * FEATURE_RATE / frame_rate - window + 1) / 2) for middle in twice]


def chunk_span(first_frame: int, latents: int, temporal_factor: int, frame_rate: float, margin: float, window: int = WINDOW) -> AudioSpan:
    """The part of the waveform that a chunk needs.

    Args:
        first_frame, latents, temporal_factor, frame_rate, window: as for audio_windows.
        margin: seconds to either side that a vector may depend on, of the features.

    Raises:
        ModelInputError: a number below 1.
    """
    starts = window_starts(first_frame, latents, temporal_factor, frame_rate, window)
    first, end = max(0, starts[0]), max(0, starts[-1] + window)
    around = math.ceil(margin * FEATURE_RATE)
    first_read = max(0, first - around)
    return AudioSpan(first, end - first, first_read * HOP, (end + around - first_read) * HOP)


def silence_vector(features: AudioFeatures) -> Tensor:
    """What features say of silence, (D,): the middle of a second of it."""
    vectors = features.extract(torch.zeros(SAMPLE_RATE), SAMPLE_RATE)
    return vectors[len(vectors) // 2]
