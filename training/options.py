"""The options of a training. Every option has its unit in its description and its default in ``--help``.

Defaults are those of the presets (``training.presets``): what is said on the command line or in a YAML file replaces them one by one.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from schemas.vocabulary import AnchorKind

ShortBatches = Literal["train", "skip"]
Source = Literal["auto", "pixels", "latents"]
Strategy = Literal["auto", "none", "ddp", "fsdp"]
Schedule = Literal["cosine", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Trained = Literal["audio", "self_attention", "cross_attention", "feed_forward", "modulation", "embeddings", "head", "text"]
"""Groups of parameters; see ``training.stages``."""
PresetName = Literal["plain", "tiny", "stage_1_audio", "stage_2_global", "stage_3_viewpoint_expression"]


@dataclass(frozen=True)
class DataOptions:
    """Which samples, and how they are read."""

    source: Source = "auto"
    """what of a sample is read: its pixels, or the latents that `python -m jobs encode` put there; auto takes latents where all samples have them"""
    area: int | None = None
    """upper bound of width x height in pixels that clips are scaled down to; the checkpoint's own when not given"""
    frames: int | None = None
    """frames of a clip that are trained on, all when not given: 1 + a multiple of the codec's per latent. Its start is drawn; cut latents know the past"""
    block_shards: int = 8
    """shards that are shuffled together: a worker has about this many open; every machine fetches remote ones about once per epoch"""
    short_batches: ShortBatches = "train"
    """what becomes of what a size bucket leaves over at the end of an epoch: trained as a smaller batch, or skipped; both are counted"""
    workers: int = 2
    """processes per rank that read and decode; 0 reads in the trainer's own"""
    prefetch: int = 2
    """micro-batches that a worker has ready"""
    cache: str | None = None
    """folder on a local disk for shards that lie elsewhere; ~/.cache/gloria-anchors/shards when not given"""
    cache_gigabytes: float = 50.0
    """size of that folder, at most; what was not used for longest goes first. Every machine fetches all shards: each step is split over all ranks"""
    skip_damaged: bool = False
    """go on without samples that cannot be read, counted and named in the log; otherwise the first one ends the training"""
    leave_out: tuple[str, ...] = ()
    """keys of samples that are not trained on"""


@dataclass(frozen=True)
class SupersetOptions:
    """Which of the anchors that a sample carries are given to the network: drawn anew for every sample and epoch (Gloria: superset anchoring, mixed ratio)."""

    kinds: tuple[Literal["global", "viewpoint", "expression"], ...] = ("global", "viewpoint", "expression")
    """kinds of anchors; the stage's preset says which"""
    count_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    """weights of drawing 0, 1, 2 … anchors; a sample that has fewer gives all"""
    outside_share: float = 0.75
    """probability that an anchor is drawn from outside the clip; where one side has none left, the other gives, unless the share forbids it (0 or 1)"""
    most_per_class: int = 2
    """anchors of one kind and subclass, at most"""


@dataclass(frozen=True)
class AugmentOptions:
    """Light changes of anchors that keep the identity. They need pixels: latents are as they were encoded."""

    crop: bool = False
    """cut up to a tenth off the sides, never into the anchor's box"""
    flip: bool = False
    """mirror every second anchor; left and right viewpoint swap their labels"""
    colour: bool = False
    """brightness, contrast and saturation changed by up to a tenth"""


@dataclass(frozen=True)
class BatchOptions:
    """How many samples a step learns from."""

    size: int = 8
    """samples per optimizer step, over all ranks"""
    micro: int = 1
    """samples that a rank computes at once; what is left of its share is accumulated"""


@dataclass(frozen=True)
class LossOptions:
    """What is learned of a sample. Sigma is the noise level, 0 is data, 1 is noise."""

    sigma: Literal["logit_normal", "uniform"] = "logit_normal"
    """distribution of sigma before the shift"""
    sigma_mean: float = 0.0
    """of the logit of sigma"""
    sigma_deviation: float = 1.0
    """of the logit of sigma"""
    sigma_shift: float | None = None
    """moves sigmas towards noise: their odds are multiplied by this; the checkpoint's own when not given"""
    given_weights: tuple[float, ...] = (0.5, 0.25, 0.25)
    """weights of giving the first 0, 1, 2 … latent frames clean: what makes the next chunk of a long video go on from the last"""
    drop_text: float = 0.1
    """probability of training without the caption, for guidance"""
    drop_audio: float = 0.1
    """probability of training without the sound, for guidance"""
    drop_anchors: float = 0.1
    """probability of training without any anchor, for guidance"""


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW and its learning rate."""

    rate: float = 1e-4
    """highest learning rate"""
    schedule: Schedule = "cosine"
    """from the highest rate on: down a cosine to the lowest at the last step, or constant"""
    warmup: int = 100
    """steps from 0 to the highest rate, in a straight line"""
    lowest: float = 0.1
    """the cosine's end, as a share of the highest rate"""
    betas: tuple[float, float] = (0.9, 0.95)
    """shares that AdamW's running means of the gradient and of its square keep per step: nearer to 1 is smoother and slower; usual are 0.9 and 0.95 to 0.999"""
    epsilon: float = 1e-8
    """added to what AdamW divides by, so that parameters with tiny gradients do not leap; usual are 1e-8 to 1e-6"""
    weight_decay: float = 0.01
    """share, times the rate, by which matrices are drawn to 0 at each step, against overfitting; usual are 0 to 0.1"""
    clip: float = 1.0
    """largest norm of the gradient; it is scaled down to this"""
    average: float = 0.999
    """how slowly the averaged weights (EMA) follow, per step; 0 keeps none"""


@dataclass(frozen=True)
class ParallelOptions:
    """How the work is laid onto the hardware. Nothing here changes what is learned, but for rounding."""

    strategy: Strategy = "auto"
    """fsdp shards weights and optimizer over the ranks (FSDP2), ddp keeps a copy on each; auto: none for one rank, else fsdp"""
    precision: Precision = "auto"
    """of matrix products; weights, sums of gradients and the optimizer are float32 in any case. auto: bfloat16 on a GPU, float32 on a CPU"""
    gradient_checkpointing: bool = False
    """compute blocks again in the backward pass instead of keeping what they made: a third slower, much less memory"""
    compile: bool = False
    """torch.compile each block; takes minutes at first, and again for each size bucket"""
    device: Device = "auto"
    """cpu, cuda or auto: a GPU where there is one"""
    threads: int | None = None
    """CPU threads of a rank; torch's choice when not given. Other numbers give other last bits"""


@dataclass(frozen=True)
class CheckpointOptions:
    """When the training is saved, so that the same command goes on from there."""

    every: int = 500
    """steps; the last step and a stop by SIGTERM are saved too"""
    keep: int = 3
    """checkpoints that are kept, the newest"""
    wait: bool = False
    """write before the next step instead of beside it"""


@dataclass(frozen=True)
class ValidationOptions:
    """What is measured on characters that are never trained on, with the averaged weights."""

    share: float = 0.02
    """of the characters, chosen by a hash of their id, so that one stays held out when data is added; 0: no validation"""
    characters: tuple[str, ...] = ()
    """character_id of further ones to hold out"""
    every: int = 500
    """steps from one validation to the next"""
    most_samples: int = 64
    """samples that are looked at, at most; always the same"""
    quantiles: int = 4
    """noise levels per sample, one in the middle of each quantile of the training's distribution"""
    pictures: int = 2
    """samples drawn from noise with their own anchors and captions, and shown beside the anchors"""


@dataclass(frozen=True)
class LogOptions:
    """What is told while it runs."""

    every: int = 10
    """steps from one line of metrics to the next"""
    tensorboard: bool = True
    """also write OUT/tensorboard"""


@dataclass(frozen=True)
class TrainingOptions:
    """Train the anchored model on shards. The same command goes on where it was stopped."""

    shards: Annotated[tuple[str, ...], tyro.conf.arg(metavar="URL…")]
    """folders with an index.parquet (from `pack`, `encode` or `python -m training index`), or the indexes themselves; paths or URLs"""
    out: Annotated[str, tyro.conf.arg(metavar="FOLDER")]
    """folder of the training: checkpoints, logs, pictures, exports"""
    from_checkpoint: Annotated[str, tyro.conf.arg(metavar="FOLDER")]
    """checkpoint to start from: a folder in diffusers' layout (`python -m model init`, public Wan weights), or OUT of another training (its newest)"""
    preset: PresetName = "plain"
    """whose defaults the other options have (`training/presets.py`): plain trains everything; tiny is for two cores; the stages are the paper's"""
    config: Annotated[str | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """options from a YAML file; those on the command line win"""
    steps: int = 10_000
    """optimizer steps"""
    seed: int = 0
    """of everything that is drawn"""
    trained: tuple[Trained, ...] = ("audio", "self_attention", "cross_attention", "feed_forward", "modulation", "embeddings", "head", "text")
    """groups of parameters that are trained; the others are frozen. audio: embedding of sound and attention to it; self_attention: among tokens of video and
    anchors, where anchors act; cross_attention: to text and picture; feed_forward: of the blocks; modulation: by the noise level; embeddings: of patches, text
    tokens and pictures; head: from tokens back to patches; text: the text encoder, where it is learned with the network"""
    data: DataOptions = field(default_factory=DataOptions)
    superset: SupersetOptions = field(default_factory=SupersetOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    batch: BatchOptions = field(default_factory=BatchOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    parallel: ParallelOptions = field(default_factory=ParallelOptions)
    checkpoint: CheckpointOptions = field(default_factory=CheckpointOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    log: LogOptions = field(default_factory=LogOptions)


def anchor_kinds(options: SupersetOptions) -> frozenset[AnchorKind]:
    """The kinds by their words."""
    return frozenset(AnchorKind.from_word(word) for word in options.kinds)
