"""How the network listens, against attention written out."""

import pytest
import torch
from torch import Tensor, nn

from model.audio.cross_attention import AudioAttention, AudioEmbedder

BATCH, FRAMES, TOKENS, WINDOW, AUDIO_DIM, DIM, HEADS, EPS = 2, 3, 4, 5, 7, 24, 2, 1e-6


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def silent() -> AudioAttention:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AudioAttention(DIM, HEADS, EPS)


@pytest.fixture(scope="module")
def layer() -> AudioAttention:
    """One that has been trained: with an output layer that is not zero, and norms that are not one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = AudioAttention(DIM, HEADS, EPS)
        layer.attention.to_out[0].reset_parameters()
        for norm in (layer.attention.norm_q, layer.attention.norm_k):
            nn.init.normal_(norm.weight, 1.0, 0.2)
    return layer.requires_grad_(False)


def video() -> Tensor:
    return drawn(BATCH, FRAMES * TOKENS, DIM)


def audio() -> Tensor:
    return drawn(BATCH, FRAMES, WINDOW, DIM, seed=1)


def heard_by_one_frame(layer: AudioAttention, tokens: Tensor, window: Tensor) -> Tensor:
    """Attention of (n, D) to (window, D) by its formula, head after head."""
    attention = layer.attention

    def rms(values: Tensor, weight: Tensor) -> Tensor:
        return values / (values.square().mean(-1, keepdim=True) + EPS).sqrt() * weight

    centred = tokens - tokens.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + EPS).sqrt()
    query, key, value = rms(attention.to_q(normed), attention.norm_q.weight), rms(attention.to_k(window), attention.norm_k.weight), attention.to_v(window)
    heads = []
    for channels in torch.arange(DIM).chunk(HEADS):
        weights = (query[:, channels] @ key[:, channels].T / len(channels) ** 0.5).softmax(-1)
        heads.append(weights @ value[:, channels])
    return attention.to_out[0](torch.cat(heads, dim=-1))


def test_each_frame_attends_to_its_own_window(layer: AudioAttention) -> None:
    heard = layer(video(), audio(), None)
    assert heard.shape == (BATCH, FRAMES * TOKENS, DIM)
    for sample in range(BATCH):
        for frame in range(FRAMES):
            tokens = slice(frame * TOKENS, (frame + 1) * TOKENS)
            expected = heard_by_one_frame(layer, video()[sample, tokens], audio()[sample, frame])
            torch.testing.assert_close(heard[sample, tokens], expected, rtol=0, atol=1e-5)


def test_another_window_changes_its_frame_alone(layer: AudioAttention) -> None:
    before, changed = layer(video(), audio(), None), audio()
    changed[1, 2] += 1
    differs = (layer(video(), changed, None) != before).any(-1).unflatten(1, (FRAMES, TOKENS))
    assert differs[1, 2].all()
    differs[1, 2] = False
    assert not differs.any()


def test_it_starts_with_no_effect_and_may_learn(silent: AudioAttention) -> None:
    heard = silent(video(), audio(), None)
    assert torch.equal(heard, torch.zeros_like(heard))
    heard.backward(drawn(*heard.shape, seed=2))
    learns = {name for name, parameter in silent.named_parameters() if parameter.grad is not None and bool(parameter.grad.any())}
    assert learns == {"attention.to_out.0.weight", "attention.to_out.0.bias"}  # the rest follows once these are no longer zero


def test_silencing_takes_what_was_learned_back() -> None:
    layer = AudioAttention(DIM, HEADS, EPS)
    nn.init.ones_(layer.attention.to_out[0].weight)
    nn.init.ones_(layer.attention.to_out[0].bias)
    layer.silence()
    assert not layer(video(), audio(), None).any()


def test_samples_without_audio_get_nothing(layer: AudioAttention) -> None:
    mask = torch.tensor([True, False])
    heard = layer(video(), audio(), mask)
    assert torch.equal(heard[0], layer(video(), audio(), None)[0])
    assert not heard[1].any()


def test_precisions(layer: AudioAttention) -> None:
    """In bfloat16 each value has 8 bits: a few roundings in a row stay within 2^-5 of the largest."""
    exact = layer(video(), audio(), None)
    layer.to(torch.bfloat16)
    try:
        heard = layer(video().bfloat16(), audio().bfloat16(), torch.tensor([True, True]))
    finally:
        layer.float()
    assert heard.dtype == torch.bfloat16
    assert float((heard - exact).abs().max() / exact.abs().max()) < 2**-5


def test_the_embedder_is_two_layers_and_a_place_in_the_window() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedder = AudioEmbedder(AUDIO_DIM, DIM, WINDOW).requires_grad_(False)
    vectors = drawn(BATCH, FRAMES, WINDOW, AUDIO_DIM) * 3 + 1
    normed = (vectors - vectors.mean(-1, keepdim=True)) / (vectors.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    inner = embedder.projection.linear_1(normed)
    inner = inner / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (inner + 0.044715 * inner**3)))
    embedded = embedder(vectors)
    assert embedded.shape == (BATCH, FRAMES, WINDOW, DIM)
    torch.testing.assert_close(embedded, embedder.projection.linear_2(inner) + embedder.place, rtol=0, atol=1e-5)
    same = embedder(vectors[:, :, :1].expand(-1, -1, WINDOW, -1))
    assert not torch.equal(same[:, :, 0], same[:, :, 1])  # the same sound at another moment is another token


def test_features_come_in_the_networks_precision() -> None:
    embedder = AudioEmbedder(AUDIO_DIM, DIM, WINDOW).to(torch.bfloat16)
    assert embedder(drawn(1, 1, WINDOW, AUDIO_DIM)).dtype == torch.bfloat16
