"""A network that is trained a little, for minutes on a CPU: enough to go on with what it is given, in the colours of its anchor.

Clips begin with no, one or two given latents, as chunks do. The first given latent is that of a first frame in one half of them (what encoding the frames
again gives) and one from the middle of a video in the other (what taking over latents gives).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.chunk_boundaries.drawn import anchors, clips, colours
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.words import WordEmbedding
from model.flow import SigmaDistribution, flow_loss, noisy, timestep
from model.head_start import hand_noise_through
from model.layout import Layout
from model.positions import AnchorClass
from model.presets import tiny
from model.transformer import AnchorWanTransformer3DModel
from schemas.vocabulary import AnchorKind

PROMPT = "a disc goes round"
GLOBAL = AnchorClass(AnchorKind.GLOBAL)
FFN_DIM = 512
GIVEN = torch.tensor([0, 1, 2, 2, 2])
"""Given latents of clips, each as often."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What is trained, and for how long."""

    steps: int = 2400
    batch: int = 16
    side: int = 8
    latents: int = 7
    heads: int = 4
    layers: int = 3
    rate: float = 3e-3
    warmup: int = 50
    average: float = 0.99
    """how slowly the averaged weights follow, which are the result"""
    sigmas: SigmaDistribution = field(default_factory=lambda: SigmaDistribution(shift=3.0))
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean latents (B, C, F, h, w), which of their frames are given (B, F), and the anchors' latents (B, C, 1, h, w)."""

    clean: Tensor
    given: Tensor
    anchors: Tensor


def codec() -> PixelUnshuffleCodec:
    """Blocks that are small: a token must fit into the network's width, noise and all, or no velocity can come out of it."""
    return PixelUnshuffleCodec(spatial_factor=1, temporal_factor=4)


def network(options: TrainingOptions) -> AnchorWanTransformer3DModel:
    """The tiny preset, deaf and with a layer less; what it puts out begins as the inverse of what it takes in."""
    channels = codec().channels
    torch.manual_seed(options.seed)
    model = tiny().build(
        in_channels=channels,
        out_channels=channels,
        num_attention_heads=options.heads,
        ffn_dim=FFN_DIM,
        num_layers=options.layers,
        audio_dim=None,
        audio_layers=(),
    )
    hand_noise_through(model)
    return model


def draw_batch(options: TrainingOptions, generator: torch.Generator) -> Batch:
    """Random clips."""
    pixels, factor, count = codec(), codec().temporal_factor, options.batch
    shown = colours(count, generator)
    frames = clips(shown, 1 + factor * options.latents, options.side, generator)
    number = GIVEN[torch.randint(len(GIVEN), (count, 1), generator=generator)]
    from_middle = (torch.rand(count, generator=generator) < 0.5) & (number[:, 0] > 0)
    clean = torch.where(from_middle[:, None, None, None, None], pixels.encode(frames)[:, :, 1:], pixels.encode(frames[:, :, factor:]))
    return Batch(clean, torch.arange(options.latents) < number, pixels.encode(anchors(shown, options.side)))


@dataclass(frozen=True, slots=True)
class Trained:
    """A network, the words that it was trained with, and the loss of every step."""

    network: AnchorWanTransformer3DModel
    text: WordEmbedding
    options: TrainingOptions
    losses: list[float]

    def save(self, file: Path) -> None:
        """Write what ``load`` reads."""
        torch.save({"options": self.options, "network": self.network.state_dict(), "text": self.text.state_dict(), "losses": self.losses}, file)

    @classmethod
    def load(cls, file: Path) -> "Trained":
        """Read what ``save`` has written; only from where you trust, for it is unpickled."""
        kept = torch.load(file, weights_only=False)
        options = kept["options"]
        trained = cls(network(options).eval(), words(options), options, kept["losses"])
        trained.network.load_state_dict(kept["network"])
        trained.text.load_state_dict(kept["text"])
        return trained


def words(options: TrainingOptions) -> WordEmbedding:
    """Of the one prompt there is."""
    return WordEmbedding(dim=tiny().transformer["text_dim"], length=8, seed=options.seed)


def train(options: TrainingOptions, on_step: Callable[[int, float], None] | None = None) -> Trained:
    """Train; ``on_step`` is told the number of every step and its loss."""
    model, text = network(options).train(), words(options)
    parameters = [*model.parameters(), *text.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, options))
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(options.average))
    generator = torch.Generator().manual_seed(options.seed)
    losses: list[float] = []
    for step in range(options.steps):
        optimizer.zero_grad()
        loss = _loss(model, text, options, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(model)
        losses.append(float(loss.detach()))
        if on_step is not None:
            on_step(step, losses[-1])
    model.load_state_dict(averaged.module.state_dict())
    return Trained(model.eval(), text, options, losses)


def _loss(model: AnchorWanTransformer3DModel, text: WordEmbedding, options: TrainingOptions, generator: torch.Generator) -> Tensor:
    batch = draw_batch(options, generator)
    layout, positions = Layout.of(model.config, codec()), torch.tensor([model.anchor_positions.of([GLOBAL])], dtype=torch.float64)
    sigma = options.sigmas.sample(options.batch, generator)
    noise = torch.randn(batch.clean.shape, generator=generator)
    hidden, time = layout.video(noisy(batch.clean, noise, sigma), timestep(sigma), batch.given, batch.clean)
    (velocity,) = model(
        hidden,
        time,
        text.encode([PROMPT] * options.batch),
        anchors=layout.anchors(batch.anchors),
        anchor_positions=positions.expand(options.batch, -1),
        return_dict=False,
    )
    return flow_loss(velocity, batch.clean, noise, ~batch.given)


def _rate(step: int, options: TrainingOptions) -> float:
    """Of the highest: up in a straight line, then down to a twentieth."""
    return min(1.0, (step + 1) / options.warmup) * (1 - 0.95 * step / options.steps)
