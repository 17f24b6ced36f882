"""The trainable text embedding of tests and demos."""

import warnings
from pathlib import Path
from zlib import crc32

import pytest
import torch

from model.component_config import write_config
from model.conditions.protocols import TextEncoder
from model.conditions.words import WordEmbedding, bucket, split
from model.errors import ModelInputError


def test_a_token_is_its_words_vector_and_its_places_and_zeros_follow() -> None:
    embedding = WordEmbedding(dim=5, length=4, buckets=64)
    encoder: TextEncoder = embedding
    tokens = encoder.encode(["A man, LAUGHING!", "", "man"])
    assert tokens.shape == (3, 4, 5)
    for place, word in enumerate([b"a", b"man", b"laughing"]):
        assert torch.equal(tokens[0, place], embedding.words[crc32(word) % 64] + embedding.places[place])
    assert not tokens[0, 3].any()
    assert not tokens[1].any()
    torch.testing.assert_close(tokens[2, 0] - embedding.places[0], tokens[0, 1] - embedding.places[1])


def test_buckets_are_the_published_crc_32() -> None:
    assert bucket("123456789", 2**32) == 0xCBF43926
    assert bucket("123456789", 10) == 0xCBF43926 % 10


def test_the_seed_decides() -> None:
    assert torch.equal(WordEmbedding(3, 2, 9, seed=5).encode(["x y"]), WordEmbedding(3, 2, 9, seed=5).encode(["x y"]))
    assert not torch.equal(WordEmbedding(3, 2, 9, seed=5).words, WordEmbedding(3, 2, 9, seed=6).words)


def test_drawing_weights_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    WordEmbedding(3, 2, 9)
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_learns_to_tell_two_prompts_apart() -> None:
    embedding = WordEmbedding(dim=4, length=3, buckets=50)
    target = torch.tensor([1.0, -1.0])
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        loss = (embedding.encode(["she laughs", "she cries"]).sum(dim=(1, 2)) - target).square().mean() / 10
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-6
    assert embedding.words.grad is not None
    untouched = [crc32(word) % 50 for word in (b"she", b"laughs", b"cries")]
    assert set(embedding.words.grad.any(dim=1).nonzero().flatten().tolist()) <= set(untouched)


def test_a_prompt_that_is_too_long_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"'one two three\.\.\.' has 3 words and is cut at 2; shorten it"):
        assert WordEmbedding(4, 2, 9).encode(["one two three"]).shape == (1, 2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WordEmbedding(4, 2, 9).encode(["one two"])


def test_words_are_those_of_any_script() -> None:
    assert split("Café—Ёж, don't 笑う!") == ["café", "ёж", "don", "t", "笑う"]


def test_saved_loads_again(tmp_path: Path) -> None:
    embedding = WordEmbedding(6, 3, 20, seed=3).to("cpu", torch.bfloat16)
    embedding.save(tmp_path / "text_encoder")
    again = WordEmbedding.load(tmp_path / "text_encoder")
    assert (again.dim, again.length, again.buckets) == (6, 3, 20)
    assert torch.equal(again.encode(["a b"]), embedding.float().encode(["a b"]))
    assert again.words.requires_grad


def test_folders_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelInputError, match=r"no config\.json"):
        WordEmbedding.load(tmp_path)
    write_config(tmp_path, "WordEmbedding", dim=4, length=2)
    with pytest.raises(ModelInputError, match="lacks 'buckets'"):
        WordEmbedding.load(tmp_path)
    write_config(tmp_path, "WordEmbedding", dim=4, length=2, buckets=9)
    with pytest.raises(ModelInputError, match="not there or does not fit"):
        WordEmbedding.load(tmp_path)
    WordEmbedding(4, 2, 8).save(tmp_path)
    write_config(tmp_path, "WordEmbedding", dim=4, length=2, buckets=9)
    with pytest.raises(ModelInputError, match="not there or does not fit"):
        WordEmbedding.load(tmp_path)
    with pytest.raises(ModelInputError, match="sizes must be 1 or more"):
        WordEmbedding(4, 0, 9)
