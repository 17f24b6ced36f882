"""From samples to the network's input: what is frozen encodes, the draws decide, noise is added.

Everything is a function of the samples and their draws; nothing depends on who else is in the batch or on which rank it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from model.anchor_batch import SampleAnchors, pad_anchors
from model.audio.windows import audio_windows, silence_vector
from model.checkpoint import Checkpoint
from model.flow import noisy, timestep
from model.layout import grey_condition
from model.positions import Positions
from model.samples.encode import audio_features, encode_anchors, encode_frames, encode_text
from training.data.sample import TrainingSample
from training.errors import TrainingError
from training.network import NetworkInputs


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A micro-batch as the loss takes it.

    Attributes:
        inputs: of the network.
        clean: (B, C, F, h, w) float32 latents.
        noise: likewise.
        sigma: (B,) noise level of each sample.
        learned: (B, F) bool, False at latent frames that were given.
        weights: (B,) float32, 1, or 0 for a stand-in.
        keys: of the samples.
    """

    inputs: NetworkInputs
    clean: Tensor
    noise: Tensor
    sigma: Tensor
    learned: Tensor
    weights: Tensor
    keys: tuple[str, ...]


class Conditioner:
    """The frozen networks around the one that is trained.

    Attributes:
        checkpoint: where they come from.
        device: where they and the batches are.
        positions: where anchors stand in time.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device | str, dtype: torch.dtype = torch.float32, positions: Positions | None = None) -> None:
        """Move them to the device.

        Args:
            checkpoint: its transformer is left where it is.
            device: of the training.
            dtype: of matrix products; encoders of text and pictures are kept in it on a GPU.
            positions: others than the transformer's own, to compare them.
        """
        self.checkpoint, self.device, self._dtype = checkpoint, torch.device(device), dtype
        self.positions: Positions = positions or checkpoint.transformer.anchor_positions
        self._config, self._layout = checkpoint.transformer.config, checkpoint.layout
        self._text_is_trained = isinstance(checkpoint.text_encoder, nn.Module)
        checkpoint.codec.to(self.device)
        checkpoint.audio_features.to(self.device)
        if self.device.type != "cpu":
            for encoder in (checkpoint.text_encoder, checkpoint.image_encoder):
                if encoder is not None and not isinstance(encoder, nn.Module):
                    encoder.to(self.device, dtype)
        self._silence = silence_vector(checkpoint.audio_features) if self._config.audio_dim is not None else None
        self._no_caption: Tensor | None = None

    @torch.no_grad()
    def __call__(self, samples: Sequence[TrainingSample], sigma: Tensor | None = None, given: int | None = None) -> TrainingBatch:
        """A batch of samples of one size.

        Args:
            samples: of a micro-batch.
            sigma: (B,) noise levels instead of the drawn ones.
            given: latent frames that are given in every sample, instead of as many as were drawn.

        Raises:
            TrainingError: latents of samples for a network that needs their pixels.
        """
        clean = torch.stack([self._latents(sample) for sample in samples])
        frames = clean.shape[2]
        counts = [sample.draws.given if given is None else given for sample in samples]
        counts = [min(max(count, 1 if self._layout.beside else 0), frames - 1) for count in counts]
        first = torch.arange(frames, device=self.device) < torch.tensor(counts, device=self.device)[:, None]
        levels = torch.tensor([sample.draws.sigma for sample in samples]) if sigma is None else sigma
        levels = levels.to(self.device, torch.float32)
        noise = torch.stack([_noise(sample.draws.noise_seed, clean.shape[1:]) for sample in samples]).to(self.device)
        condition = torch.cat([self._grey(sample, count, frames) for sample, count in zip(samples, counts, strict=True)]) if self._layout.beside else clean
        hidden, times = self._layout.video(noisy(clean, noise, levels), timestep(levels), first, condition)
        audio, audio_mask = self._audio(samples, frames)
        inputs = NetworkInputs(
            hidden, times, self._text(samples), tuple(sample.caption for sample in samples), self._picture(samples), *self._anchors(samples), audio, audio_mask
        )
        weights = torch.tensor([float(sample.counted) for sample in samples], device=self.device)
        return TrainingBatch(inputs, clean, noise, levels, ~first, weights, tuple(sample.key for sample in samples))

    @torch.no_grad()
    def encoded(self, sample: TrainingSample) -> TrainingSample:
        """A sample that is looked at several times, with its latents, words and sounds encoded once; its batches are the same."""
        text = sample.text_embedding
        if sample.caption and text is None and not self._text_is_trained:
            text = encode_text(self.checkpoint.text_encoder, sample.caption)
        anchors = None if not sample.anchor_classes else self._encoded_anchors(sample)
        return replace(sample, latents=self._latents(sample), anchor_latents=anchors, text_embedding=text, waveform=None, audio_features=self._features(sample))

    def _latents(self, sample: TrainingSample) -> Tensor:
        if sample.latents is not None:
            return sample.latents.to(self.device, torch.float32)
        assert sample.frames is not None
        return encode_frames(self.checkpoint.codec, sample.frames.to(self.device))

    def _anchors(self, samples: Sequence[TrainingSample]) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return pad_anchors([SampleAnchors(self._anchor_latents(sample), sample.anchor_classes) for sample in samples], self.positions)

    def _anchor_latents(self, sample: TrainingSample) -> Tensor | None:
        """(in_channels, K, h, w)."""
        if not sample.anchor_classes:
            return None
        return self._layout.anchors(self._encoded_anchors(sample).transpose(0, 1)[None])[0]

    def _encoded_anchors(self, sample: TrainingSample) -> Tensor:
        """(K, C, h, w), of one anchor or more."""
        if sample.anchor_latents is not None:
            return sample.anchor_latents.to(self.device, torch.float32)
        assert sample.anchor_frames is not None
        return encode_anchors(self.checkpoint.codec, sample.anchor_frames.to(self.device))

    def _text(self, samples: Sequence[TrainingSample]) -> Tensor | None:
        if self._text_is_trained:
            return None
        return torch.stack([self._embedded(sample) for sample in samples])

    def _embedded(self, sample: TrainingSample) -> Tensor:
        """(T, text_dim), padded with zeros."""
        encoder = self.checkpoint.text_encoder
        if not sample.caption:
            if self._no_caption is None:
                self._no_caption = encode_text(encoder, "").to(self.device)
            tokens = self._no_caption
        else:
            tokens = sample.text_embedding if sample.text_embedding is not None else encode_text(encoder, sample.caption)
        tokens = tokens.to(self.device, torch.float32)
        return torch.cat([tokens, tokens.new_zeros(encoder.length - len(tokens), encoder.dim)])

    def _audio(self, samples: Sequence[TrainingSample], frames: int) -> tuple[Tensor | None, Tensor | None]:
        """Windows of all samples, silence where one has no sound, which the mask tells: ranks whose samples are all silent compute the same layers."""
        if self._silence is None:
            return None, None
        heard = [self._features(sample) for sample in samples]
        windows = [
            audio_windows(
                self._silence[None] if vectors is None else vectors,
                0,
                self._silence,
                sample.draws.first_frame,
                frames,
                self.checkpoint.codec.temporal_factor,
                sample.frame_rate,
                self._config.audio_window,
            )
            for sample, vectors in zip(samples, heard, strict=True)
        ]
        return torch.stack(windows).to(self.device), torch.tensor([vectors is not None for vectors in heard], device=self.device)

    def _features(self, sample: TrainingSample) -> Tensor | None:
        """(V, D); None without sound, or for a network that hears nothing."""
        if self._silence is None:
            return None
        if sample.audio_features is not None:
            return sample.audio_features.to(self.device, torch.float32)
        return None if sample.waveform is None else audio_features(self.checkpoint.audio_features, sample.waveform.to(self.device))

    def _picture(self, samples: Sequence[TrainingSample]) -> Tensor | None:
        encoder = self.checkpoint.image_encoder
        if encoder is None:
            return None
        first = torch.stack([self._pixels(sample)[0] for sample in samples]).permute(0, 3, 1, 2)
        return encoder.encode(first.to(self.device).float() / 127.5 - 1).to(self.device, torch.float32)

    def _grey(self, sample: TrainingSample, given: int, latents: int) -> Tensor:
        """(1, C, F, h, w): the given frames and then grey, encoded."""
        shown = self._pixels(sample)[: 1 + (given - 1) * self.checkpoint.codec.temporal_factor]
        return grey_condition(self.checkpoint.codec, (shown.to(self.device).float() / 127.5 - 1).permute(3, 0, 1, 2)[None], latents)

    @staticmethod
    def _pixels(sample: TrainingSample) -> Tensor:
        if sample.frames is None:
            raise TrainingError(
                f"{sample.key}: an image-to-video network needs the pixels of its samples, not their latents alone; train with --data.source pixels"
            )
        return sample.frames


def _noise(seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal, of a generator of its own on the CPU: the same on every machine."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
