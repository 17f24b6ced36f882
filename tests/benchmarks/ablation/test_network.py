"""A token is a patch of the drawing, and fits into the network."""

import torch

from benchmarks.ablation.drawn import FRAMES, PATCH, samples
from benchmarks.ablation.network import checkpoint
from model.conditions.words import WordEmbedding, split


def test_a_token_is_a_patch_and_narrower_than_the_network() -> None:
    made = checkpoint(0)
    config, codec = made.transformer.config, made.codec
    assert codec.spatial_factor * config.patch_size[1] == PATCH
    assert 4 * codec.channels < config.num_attention_heads * config.attention_head_dim


def test_clips_and_captions_go_through() -> None:
    made, one = checkpoint(0), samples(3, torch.Generator().manual_seed(0))
    assert isinstance(made.text_encoder, WordEmbedding)
    latents = made.codec.encode(one.clips)
    assert latents.shape[2] == FRAMES
    assert torch.equal(made.codec.decode(latents), one.clips)
    assert all(len(split(each)) <= made.text_encoder.length for each in one.captions())
    with torch.no_grad():
        (velocity,) = made.transformer(latents, torch.full((3,), 500.0), made.text_encoder.encode(one.captions()), return_dict=False)
    assert velocity.shape == latents.shape


def test_the_seed_draws_the_weights() -> None:
    one, same, other = (checkpoint(seed).transformer.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["proj_out.weight"], other["proj_out.weight"])
