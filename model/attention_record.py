"""How much each latent frame of a chunk attends to each anchor (Gloria, figures 9 and 10).

In a softmax every query has a weight of 1 to give away. What the queries of a latent frame give to the keys of an anchor, in the mean over them, over heads,
over some blocks and over the steps of sampling, is the mass of that anchor in that frame; what remains goes to the video itself.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

EVERY = 4
"""Of so many blocks one is recorded, unless told otherwise: neighbours say much the same."""
SCORES_AT_ONCE = 1 << 24
"""Scores of one head that are in memory at the same time; 64 MiB of float32."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Which token is whose: ``frames`` times ``per_frame`` of the video, then ``anchors`` times ``per_anchor``."""

    frames: int
    per_frame: int
    anchors: int
    per_anchor: int

    @property
    def video(self) -> int:
        """Tokens of the video."""
        return self.frames * self.per_frame

    @property
    def total(self) -> int:
        """Tokens of video and anchors."""
        return self.video + self.anchors * self.per_anchor


class AttentionRecord:
    """Looks on while a chunk is made (``model.attention.AttentionObserver``) and keeps nothing but sums.

    Every observation costs as much as the attention it looks at, and more where that is a fused kernel; so choose blocks, and switch ``active`` off for
    steps that need not count.

    Attributes:
        active: whether observations count now.
    """

    def __init__(self, tokens: TokenCounts, blocks: Collection[int] | None = None, scores_at_once: int = SCORES_AT_ONCE) -> None:
        """Begin with nothing seen.

        Args:
            tokens: of the chunks to come.
            blocks: indices of those that are recorded; None for every fourth.
            scores_at_once: numbers that may be in memory at the same time.
        """
        self.active = True
        self._tokens, self._blocks, self._at_once = tokens, blocks, scores_at_once
        self._sum = torch.zeros(tokens.frames, tokens.anchors + 1, dtype=torch.float64)
        self._count = 0

    @torch.no_grad()
    def observe(self, block: int, query: Tensor, key: Tensor, key_mask: Tensor | None) -> None:
        """See ``AttentionObserver``.

        Raises:
            ValueError: numbers of tokens that are not those of ``tokens``.
        """
        if not self.active or (block % EVERY if self._blocks is None else block not in self._blocks):
            return
        wanted = self._tokens
        if key.shape[1] != wanted.total or query.shape[1] not in {wanted.total, wanted.video}:
            raise ValueError(f"{query.shape[1]} queries and {key.shape[1]} keys are not those of {wanted}")
        masks = [None] * len(key) if key_mask is None else key_mask.expand(len(key), -1, -1, -1)[:, 0, 0]
        for row, mask in enumerate(masks):
            for head in range(query.shape[2]):
                self._add(self._masses(query[row, : wanted.video, head], key[row, :, head].float(), mask))

    def result(self) -> Tensor:
        """(F, K + 1) float64 on the CPU: the mass of each anchor, then that of the video. Every row sums to 1.

        Raises:
            ValueError: nothing has been observed.
        """
        if not self._count:
            raise ValueError("no attention has been observed; was the record active, and are its blocks among the network's?")
        return (self._sum / self._count).cpu()

    def _add(self, masses: Tensor) -> None:
        self._sum = self._sum.to(masses.device) + masses
        self._count += 1

    def _masses(self, query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
        """Of one head: queries (F * n, d) and keys (L', d) to masses (F, K + 1)."""
        at_once = max(1, self._at_once // len(key))
        masses = torch.cat([self._split((part.float() / math.sqrt(part.shape[1])) @ key.T, mask) for part in query.split(at_once)])
        return masses.double().unflatten(0, (self._tokens.frames, -1)).mean(1)

    def _split(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """Scores (q, L') to masses (q, K + 1). The softmax over all keys, summed over those of an anchor, is the softmax of the anchors' log-sum-exps."""
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        video, anchors = scores.split([self._tokens.video, self._tokens.total - self._tokens.video], dim=1)
        by_anchor = anchors.unflatten(1, (self._tokens.anchors, self._tokens.per_anchor)).logsumexp(2)
        return torch.cat([by_anchor, video.logsumexp(1, keepdim=True)], dim=1).softmax(1)
