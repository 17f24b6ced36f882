"""The attention of each chunk to each anchor, written beside the chunk log while a video is made."""

from pathlib import Path

from torch import Tensor

from model import attention_log
from model.attention_record import AttentionRecord, TokenCounts
from model.errors import ModelInputError
from model.generate.denoise import Anchors
from model.generate.plan import Chunk, ChunkPlan
from model.generate.prepare import Setting
from model.generate.state import RunState

STEPS_PER_RECORD = 4
"""Of so many steps one is looked at: it costs as much as attending."""


class AttentionRecording:
    """A record for each chunk, one after the other."""

    def __init__(self, path: Path, setting: Setting, anchors: Anchors) -> None:
        self._path, self._setting, self._anchors = path, setting, anchors
        self._record: AttentionRecord | None = None

    @classmethod
    def open(cls, setting: Setting, state: RunState) -> "AttentionRecording":
        """Go on behind the chunks that are done.

        Raises:
            ModelInputError: there are no anchors to attend to.
        """
        if setting.anchors is None:
            raise ModelInputError("--record-attention records the attention to anchors, and there are none; give --anchors")
        path = state.folder / attention_log.NAME
        attention_log.cut(path, state.next_chunk)
        return cls(path, setting, setting.anchors)

    def begin(self, noise: Tensor) -> AttentionRecord:
        """The record of the chunk that is about to be made from this noise."""
        _, down, across = self._setting.checkpoint.transformer.config.patch_size
        _, _, count, height, width = self._anchors.latents.shape
        per_frame, per_anchor = noise.shape[3] // down * (noise.shape[4] // across), height // down * (width // across)
        self._record = AttentionRecord(TokenCounts(noise.shape[2], per_frame, count, per_anchor))
        return self._record

    def step(self, number: int) -> None:
        """A step of sampling begins."""
        assert self._record is not None
        self._record.active = number % STEPS_PER_RECORD == 0

    def write(self, chunk: Chunk) -> None:
        """Write what was seen in the part of the chunk that is within the video."""
        assert self._record is not None
        plan, shown = self._setting.plan, latents_shown(self._setting.plan, chunk)
        seconds = attention_log.latent_seconds(chunk.first, shown, plan.temporal_factor, plan.rate)
        names, prompt = list(self._anchors.names), self._setting.prompts.for_chunk(chunk)
        attention_log.append(self._path, attention_log.ChunkAttention.of(chunk.number, chunk.first, seconds, names, self._record.result()[:shown], prompt))


def latents_shown(plan: ChunkPlan, chunk: Chunk) -> int:
    """Latent frames of a chunk that begin before the video ends: the last chunk's surplus is made and dropped."""
    behind_first = min(chunk.frames.stop, plan.total) - 1 - chunk.first
    return 1 + -(-behind_first // plan.temporal_factor)
