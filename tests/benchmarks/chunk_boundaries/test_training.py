"""Clips begin as chunks do, and a few steps bring the loss down."""

from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.chunk_boundaries.training import Trained, TrainingOptions, codec, draw_batch, network, train

SMALL = TrainingOptions(steps=6, batch=4, latents=3, layers=1, warmup=1)


def test_given_latents_come_first_and_are_of_both_kinds() -> None:
    batch = draw_batch(replace(SMALL, batch=64), torch.Generator().manual_seed(0))
    assert batch.clean.shape == (64, codec().channels, 3, 8, 8)
    assert {tuple(row) for row in batch.given.tolist()} == {(False, False, False), (True, False, False), (True, True, False)}
    # of a first frame, all frames of a block are alike; of a latent from the middle, they are not
    blocks = batch.clean[:, :, 0].reshape(64, 3, 4, -1)
    alike = (blocks == blocks[:, :, :1]).flatten(1).all(1)
    given = batch.given[:, 0]
    assert bool(alike[~given].all())
    assert 0 < int(alike[given].sum()) < int(given.sum())


def test_it_learns_is_kept_and_is_the_same_again(tmp_path: Path) -> None:
    losses: list[float] = []
    trained = train(SMALL, lambda _, loss: losses.append(loss))
    assert trained.losses == losses
    assert losses[-1] < losses[0]
    trained.save(tmp_path / "network.pt")
    kept = Trained.load(tmp_path / "network.pt")
    weights, again = trained.network.state_dict(), kept.network.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert train(SMALL).losses == losses


def test_what_is_put_in_comes_out() -> None:
    """The head start: patches through the first and the last layer alone."""
    model = network(SMALL)
    video = torch.randn(1, codec().channels, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = model.patch_embedding(video).flatten(2).transpose(1, 2)
        patches = model.proj_out(torch.nn.functional.layer_norm(tokens, tokens.shape[-1:]))
    back = patches.unflatten(1, (2, 2, 2)).unflatten(-1, (1, 2, 2, -1)).permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(video.shape)
    slope = float((back * video).sum() / video.square().sum())
    assert 0.6 < slope < 1.1
    assert float((back - slope * video).square().mean()) < 0.02
