"""Masses of attention against a softmax that is written out, and where the answer is known without one."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from model.attention_record import AttentionRecord, TokenCounts
from model.transformer import AnchorWanTransformer3DModel

COUNTS = TokenCounts(frames=3, per_frame=4, anchors=2, per_anchor=5)
HEADS, SIZE, BATCH = 2, 8, 2


def drawn(length: int, seed: int, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(BATCH, length, HEADS, SIZE, generator=torch.Generator().manual_seed(seed))


def dense(query: Tensor, key: Tensor, mask: Tensor | None, counts: TokenCounts = COUNTS) -> Tensor:
    """(F, K + 1) as the definition says it, in float64 and all at once."""
    scores = torch.einsum("blhd,bmhd->bhlm", query.double(), key.double()) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1) if mask is not None else scores.softmax(-1)
    rows = []
    for frame in range(counts.frames):
        own = weights[:, :, frame * counts.per_frame : (frame + 1) * counts.per_frame]
        edges = [counts.video + anchor * counts.per_anchor for anchor in range(counts.anchors + 1)]
        rows.append([own[..., low:high].sum(-1).mean() for low, high in pairwise(edges)] + [own[..., : counts.video].sum(-1).mean()])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("queries", [COUNTS.total, COUNTS.video], ids=["full", "cached"])
@pytest.mark.parametrize("at_once", [1, 70, 1 << 20])
def test_it_is_the_softmax_written_out(queries: int, at_once: int) -> None:
    record = AttentionRecord(COUNTS, scores_at_once=at_once)
    query, key = drawn(queries, 0), drawn(COUNTS.total, 1)
    record.observe(0, query, key, None)
    assert torch.allclose(record.result(), dense(query, key, None), atol=1e-6)
    assert torch.allclose(record.result().sum(1), torch.ones(3, dtype=torch.float64), atol=1e-6)


def test_what_is_padding_gets_nothing() -> None:
    mask = torch.ones(BATCH, 1, 1, COUNTS.total, dtype=torch.bool)
    mask[0, ..., COUNTS.video + COUNTS.per_anchor :] = False
    query, key = drawn(COUNTS.total, 0), drawn(COUNTS.total, 1)
    record, first = AttentionRecord(COUNTS), AttentionRecord(COUNTS)
    record.observe(0, query, key, mask)
    first.observe(0, query[:1], key[:1], mask[:1])
    assert torch.allclose(record.result(), dense(query, key, mask), atol=1e-6)
    assert torch.allclose(first.result(), dense(query[:1], key[:1], mask[:1]), atol=1e-6)
    assert first.result()[:, 1].tolist() == [0, 0, 0]
    assert torch.allclose(first.result().sum(1), torch.ones(3, dtype=torch.float64), atol=1e-6)


def test_keys_that_are_alike_share_by_number() -> None:
    record = AttentionRecord(COUNTS)
    record.observe(0, drawn(COUNTS.total, 0), torch.ones(BATCH, COUNTS.total, HEADS, SIZE), None)
    assert torch.allclose(record.result(), torch.tensor([5.0, 5.0, 12.0], dtype=torch.float64).expand(3, 3) / 22, atol=1e-6)


def test_each_frame_looks_at_whom_it_looks_for() -> None:
    """Frame 0 asks for anchor 1, frame 1 for anchor 0, frame 2 for the video; the anchors' own queries, which ask for anchor 0, do not count."""
    asked = torch.tensor([1] * 4 + [0] * 4 + [2] * 4 + [0] * 10)
    kept = torch.tensor([2] * 12 + [0] * 5 + [1] * 5)
    query, key = (40 * torch.eye(SIZE)[which][None, :, None].expand(BATCH, -1, HEADS, -1) for which in (asked, kept))
    record = AttentionRecord(COUNTS)
    record.observe(0, query, key, None)
    assert torch.allclose(record.result(), torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64), atol=1e-9)


def test_blocks_and_steps_are_chosen_and_averaged() -> None:
    record = AttentionRecord(COUNTS)
    pairs = [(drawn(COUNTS.total, seed), drawn(COUNTS.total, seed + 50)) for seed in range(3)]
    record.observe(0, *pairs[0], None)
    record.observe(3, *pairs[1], None)  # not one of every fourth
    record.active = False
    record.observe(4, *pairs[1], None)
    record.active = True
    record.observe(8, *pairs[2], None)
    wanted = (dense(*pairs[0], None) + dense(*pairs[2], None)) / 2
    assert torch.allclose(record.result(), wanted, atol=1e-6)

    chosen = AttentionRecord(COUNTS, blocks={3})
    for block, pair in enumerate(pairs + pairs):
        chosen.observe(block, *pair, None)
    assert torch.allclose(chosen.result(), dense(*pairs[0], None), atol=1e-6)


def test_half_precision_is_widened_first() -> None:
    query, key = drawn(COUNTS.total, 0).bfloat16(), drawn(COUNTS.total, 1).bfloat16()
    record = AttentionRecord(COUNTS)
    record.observe(0, query, key, None)
    assert torch.allclose(record.result(), dense(query, key, None), atol=1e-6)


def test_without_anchors_the_video_has_all() -> None:
    counts = TokenCounts(frames=3, per_frame=4, anchors=0, per_anchor=5)
    record = AttentionRecord(counts)
    record.observe(0, drawn(12, 0), drawn(12, 1), None)
    assert record.result().tolist() == [[1.0]] * 3


def test_what_does_not_fit_is_said() -> None:
    record = AttentionRecord(COUNTS)
    with pytest.raises(ValueError, match="no attention has been observed"):
        record.result()
    with pytest.raises(ValueError, match="22 queries and 21 keys"):
        record.observe(0, drawn(22, 0), drawn(21, 0), None)


@pytest.fixture(scope="module")
def network() -> AnchorWanTransformer3DModel:
    torch.manual_seed(0)
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 8, "freq_dim": 16, "ffn_dim": 32, "num_layers": 2}
    return AnchorWanTransformer3DModel(in_channels=4, out_channels=4, **sizes).eval()


def test_in_the_network_with_and_without_a_cache(network: AnchorWanTransformer3DModel) -> None:
    generator = torch.Generator().manual_seed(0)
    video, anchors = torch.randn(1, 4, 3, 4, 6, generator=generator), torch.randn(1, 4, 2, 4, 4, generator=generator)
    text, positions = torch.randn(1, 5, 8, generator=generator), torch.tensor([[32.0, 48.0]], dtype=torch.float64)
    counts, time = TokenCounts(frames=3, per_frame=6, anchors=2, per_anchor=4), torch.tensor([500.0])
    full, cached = AttentionRecord(counts), AttentionRecord(counts, blocks=[0])
    with torch.no_grad():
        network(video, time, text, anchors=anchors, anchor_positions=positions, observer=full)
        network(video, time, text, anchor_cache=network.cache_anchors(anchors, positions, text), observer=cached)
    assert torch.allclose(full.result(), cached.result(), atol=1e-6)  # before block 0 the video has not been seen by the anchors in either case
    assert full.result().min() > 0
    assert torch.allclose(full.result().sum(1), torch.ones(3, dtype=torch.float64), atol=1e-6)
