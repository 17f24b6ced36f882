"""A token is a patch of the drawing, fits into the network, and comes out as it went in."""

import torch

from benchmarks.ablation.drawn import FRAMES, PATCH, samples
from benchmarks.ablation.network import TEXT_LENGTH, codec, network, words
from model.conditions.words import split


def test_a_token_is_a_patch_and_narrower_than_the_network() -> None:
    model = network(0)
    assert codec().spatial_factor * model.config.patch_size[1] == PATCH
    assert 4 * codec().channels < model.config.num_attention_heads * model.config.attention_head_dim


def test_clips_and_captions_go_through() -> None:
    one = samples(3, torch.Generator().manual_seed(0))
    latents = codec().encode(one.clips)
    assert latents.shape[2] == FRAMES
    assert torch.equal(codec().decode(latents), one.clips)
    assert all(len(split(each)) <= TEXT_LENGTH for each in one.captions())
    with torch.no_grad():
        (velocity,) = network(0)(latents, torch.full((3,), 500.0), words(0).encode(one.captions()), return_dict=False)
    assert velocity.shape == latents.shape


def test_the_seed_draws_the_weights() -> None:
    one, same, other = (network(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["proj_out.weight"], other["proj_out.weight"])


def test_the_head_start_hands_patches_through() -> None:
    """Through the first and the last layer alone."""
    model = network(0)
    video = torch.randn(1, codec().channels, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = model.patch_embedding(video).flatten(2).transpose(1, 2)
        patches = model.proj_out(torch.nn.functional.layer_norm(tokens, tokens.shape[-1:]))
    back = patches.unflatten(1, (2, 2, 2)).unflatten(-1, (1, 2, 2, -1)).permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(video.shape)
    slope = float((back * video).sum() / video.square().sum())
    assert 0.6 < slope < 1.1
    assert float((back - slope * video).square().mean()) < 0.05
