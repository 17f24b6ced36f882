"""One chunk: from noise to latents, with guidance, given frames, anchors and audio."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from model.attention import AttentionObserver
from model.errors import ModelInputError
from model.flow import noisy
from model.generate.options import Droppable
from model.layout import Layout
from model.sampler import Sampler, SamplerOptions
from model.transformer import AnchorCache, AnchorWanTransformer3DModel


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of the character, ready for the network.

    Attributes:
        latents: (1, in_channels, K, h, w); see ``Layout.anchors``.
        positions: (1, K) float64.
        names: K names for people, such as ``expression happy``.
    """

    latents: Tensor
    positions: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a chunk is made from.

    Attributes:
        text: (1, T, text_dim).
        negative: the text that guidance leads away from, likewise.
        picture: (1, P, image_dim), for networks that look at a picture.
        anchors: of the character; None for none.
        audio: (1, F, window, audio_dim); None for a silent film.
        given: latent frames at the start of the chunk that are known.
        condition: (1, C, n, h, w), n >= given: their latents; beside (see ``model.layout``) those of the whole chunk.
    """

    text: Tensor
    negative: Tensor
    picture: Tensor | None = None
    anchors: Anchors | None = None
    audio: Tensor | None = None
    given: int = 0
    condition: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Guidance:
    """Classifier-free guidance (arXiv 2207.12598): velocity = without + scale * (with - without).

    Attributes:
        scale: 1 switches it off, and halves the work.
        drops: what the pass without goes without: ``text`` (it gets the negative prompt), ``audio``, ``anchors``.
    """

    scale: float = 5.0
    drops: tuple[Droppable, ...] = ("text",)

    def without(self, conditions: Conditions) -> Conditions:
        """The conditions of the pass without."""
        return replace(
            conditions,
            text=conditions.negative if "text" in self.drops else conditions.text,
            audio=None if "audio" in self.drops else conditions.audio,
            anchors=None if "anchors" in self.drops else conditions.anchors,
        )


class Denoiser:
    """Makes the latents of chunks with one network.

    With ``cache_anchors`` the anchors' keys and values are computed once per text instead of in every step: cheaper, but the anchors no longer see the video.
    """

    def __init__(
        self, transformer: AnchorWanTransformer3DModel, layout: Layout, sampling: SamplerOptions, guidance: Guidance, cache_anchors: bool = False
    ) -> None:
        """Prepare.

        Raises:
            ModelInputError: anchors are to be cached by a network whose anchors change from step to step.
        """
        if cache_anchors and transformer.config.anchor_timestep != "zero":
            raise ModelInputError("anchors that stand at the video's timestep change in every step and cannot be cached; leave out --cache-anchors")
        self.transformer, self.layout, self.sampling, self.guidance = transformer, layout, sampling, guidance
        self._cache_anchors = cache_anchors
        self._caches: dict[bool, tuple[tuple[Any, ...], AnchorCache]] = {}

    @torch.no_grad()
    def denoise(
        self,
        noise: Tensor,
        conditions: Conditions,
        observer: AttentionObserver | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """The clean latents of a chunk.

        Args:
            noise: (1, C, F, h, w), standard normal, float32.
            conditions: what to make.
            observer: told what the network attends to, in the pass with all conditions.
            on_step: called before every step with its number.

        Returns:
            (1, C, F, h, w) float32; the given frames are those of ``conditions``, untouched.
        """
        given, dtype = conditions.given, self.transformer.dtype
        fixed = noise[:, :, :0] if conditions.condition is None else conditions.condition[:, :, :given].float()
        sampler, latents = Sampler(self.sampling), noise[:, :, given:]
        for step, timestep in enumerate(sampler.timesteps):
            if on_step is not None:
                on_step(step)
            # beside, given frames are as noisy as the others, which is how the weights know them
            start = noisy(fixed, noise[:, :, :given], sampler.sigmas[step].expand(1).to(noise.device)) if self.layout.beside else fixed
            whole = torch.cat([start, latents], dim=2).to(dtype)
            velocity = self._guided(whole, timestep.to(noise.device).expand(1), conditions, observer)
            latents = sampler.step(velocity[:, :, given:], step, latents)
        return torch.cat([fixed, latents], dim=2)

    def _guided(self, latents: Tensor, timestep: Tensor, conditions: Conditions, observer: AttentionObserver | None) -> Tensor:
        """The velocity, float32: guidance multiplies the small difference of two passes, which half the bits would round away."""
        with_all = self._velocity(latents, timestep, conditions, observer, True).float()
        if self.guidance.scale == 1:
            return with_all
        without = self._velocity(latents, timestep, self.guidance.without(conditions), None, False).float()
        return without + self.guidance.scale * (with_all - without)

    def _velocity(self, latents: Tensor, timestep: Tensor, conditions: Conditions, observer: AttentionObserver | None, with_all: bool) -> Tensor:
        dtype, frames = latents.dtype, latents.shape[2]
        given = (torch.arange(frames, device=latents.device) < conditions.given)[None]
        condition = conditions.condition
        if condition is not None and condition.shape[2] < frames:
            missing = condition.new_zeros(*condition.shape[:2], frames - condition.shape[2], *condition.shape[3:])
            condition = torch.cat([condition, missing], dim=2)
        hidden, times = self.layout.video(latents, timestep, given, condition)
        anchors = conditions.anchors
        tokens: dict[str, Any] = {} if anchors is None else {"anchors": anchors.latents.to(dtype), "anchor_positions": anchors.positions}
        if anchors is not None and self._cache_anchors:
            tokens = {"anchor_cache": self._cached(anchors, conditions, with_all)}
        return self.transformer(
            hidden,
            times,
            conditions.text.to(dtype),
            None if conditions.picture is None else conditions.picture.to(dtype),
            return_dict=False,
            audio=None if conditions.audio is None else conditions.audio.to(dtype),
            observer=observer,
            **tokens,
        )[0]

    def _cached(self, anchors: Anchors, conditions: Conditions, with_all: bool) -> AnchorCache:
        """One cache for each of the two passes, made anew when the text, the picture or the anchors are others."""
        made_of = (conditions.text, conditions.picture, anchors)
        known = self._caches.get(with_all)
        if known is None or any(one is not other for one, other in zip(known[0], made_of, strict=True)):
            dtype = self.transformer.dtype
            picture = None if conditions.picture is None else conditions.picture.to(dtype)
            cache = self.transformer.cache_anchors(anchors.latents.to(dtype), anchors.positions, conditions.text.to(dtype), picture)
            known = self._caches[with_all] = (made_of, cache)
        return known[1]
