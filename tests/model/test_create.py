"""New checkpoints: the same for the same seed, and public weights that listen without being changed by it."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from model import presets
from model.audio.wav2vec2 import Wav2Vec2Features
from model.checkpoint import Checkpoint, stock_transformer
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.create import create, create_tiny, extend_stock
from model.errors import ModelInputError
from model.presets import PRESETS, Preset, Usage, preset
from model.transformer import NEW_PARAMETERS
from tests.model.tiny_wan import TRANSFORMER, change_weights, in_diffusers, text_to_video

SMALL = Preset("small", {**TRANSFORMER, "audio_dim": 80, "audio_layers": (0, 1)}, Usage(16.0, 5, 64 * 64, 4, 5.0), 3.0)
"""As a preset of public weights, but small enough for a test."""


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_to_video(tmp_path_factory.mktemp("public") / "t2v")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "PRESETS", {**PRESETS, "small": lambda: SMALL})


def weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return checkpoint.transformer.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(11)
    first = create_tiny(5)
    torch.manual_seed(12)
    second, third = create_tiny(5), create_tiny(6)
    assert same(weights(first), weights(second))
    assert torch.equal(first.text_encoder.encode(["rain"]), second.text_encoder.encode(["rain"]))
    assert not same(weights(first), weights(third))
    assert not torch.equal(first.text_encoder.encode(["rain"]), third.text_encoder.encode(["rain"]))


@pytest.mark.usefixtures("small")
def test_nobody_elses_random_numbers_change(public: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    for make in (lambda: create_tiny(5), lambda: extend_stock(public, "small", 5)):
        torch.manual_seed(1)
        make()
        assert torch.equal(torch.rand(3), expected)


def test_the_tiny_checkpoint_is_of_one_piece() -> None:
    checkpoint = create("tiny", None, 0)
    assert (checkpoint.preset, checkpoint.layout.latent_channels, checkpoint.layout.beside) == ("tiny", 48, False)
    assert isinstance(checkpoint.codec, PixelUnshuffleCodec)
    assert checkpoint.text_encoder.dim == checkpoint.transformer.config.text_dim
    assert checkpoint.audio_features.dim == checkpoint.transformer.config.audio_dim
    assert (checkpoint.sampling.steps, checkpoint.sampling.shift) == (8, 3.0)
    assert checkpoint.own_usage == preset("tiny").usage
    assert not checkpoint.transformer.training


@pytest.mark.usefixtures("small")
def test_public_weights_get_audio_that_is_silent_yet(public: Path, tmp_path: Path) -> None:
    checkpoint = create("small", public, 3)
    theirs = in_diffusers(public / "transformer")
    assert same({name: value for name, value in weights(checkpoint).items() if not name.startswith(NEW_PARAMETERS)}, theirs.state_dict())
    assert {name.split(".")[0] for name in weights(checkpoint) if name.startswith(NEW_PARAMETERS)} == {"audio_embedder", "audio_attention"}
    assert checkpoint.transformer.config.audio_layers == (0, 1)

    generator = torch.Generator().manual_seed(0)
    video, text = torch.randn(1, 16, 3, 4, 4, generator=generator), torch.randn(1, 8, TRANSFORMER["text_dim"], generator=generator)
    audio = torch.randn(1, 3, 25, 80, generator=generator)
    with torch.no_grad():
        expected = theirs(video, torch.tensor([500]), text, return_dict=False)[0]
        assert torch.equal(checkpoint.transformer(video, torch.tensor([500]), text, audio=audio, return_dict=False)[0], expected)

    checkpoint.save(tmp_path / "ours")
    again = Checkpoint.load(tmp_path / "ours", preset="small")
    assert same(weights(again), weights(checkpoint))
    assert same(stock_transformer(again.transformer).state_dict(), theirs.state_dict())
    assert again.own_usage == again.usage == SMALL.usage


@pytest.mark.usefixtures("small")
def test_weights_stay_of_the_type_that_they_are_stored_in(public: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(public, tmp_path / "t2v"))
    change_weights(folder / "transformer", lambda stored: {name: value.to(torch.bfloat16) for name, value in stored.items()})
    extend_stock(folder, "small", 3).save(tmp_path / "ours")
    written = load_file(tmp_path / "ours" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert written["patch_embedding.weight"].dtype == written["audio_embedder.projection.linear_1.weight"].dtype == torch.bfloat16
    assert written["blocks.0.scale_shift_table"].dtype == written["condition_embedder.time_embedder.linear_1.weight"].dtype == torch.float32


@pytest.mark.usefixtures("small")
def test_public_weights_are_read_once(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> dict[str, Tensor]:
        read.append(path)
        return load_file(path)

    monkeypatch.setattr("model.checkpoint.load_file", counted)
    extend_stock(public, "small", 3)
    assert read == [public / "transformer" / "diffusion_pytorch_model.safetensors"]


@pytest.mark.usefixtures("small")
def test_what_is_new_follows_from_the_seed(public: Path) -> None:
    first, second, third = (weights(extend_stock(public, "small", seed)) for seed in (3, 3, 4))
    assert same(first, second)
    differing = {name for name in first if not torch.equal(first[name], third[name])}
    assert "audio_embedder.projection.linear_1.weight" in differing
    assert all(name.startswith(NEW_PARAMETERS) for name in differing)


def test_a_network_of_public_weights_needs_them(public: Path) -> None:
    with pytest.raises(ModelInputError, match=r"wan2_1_t2v_1_3b starts from public weights: give their folder .* with --stock"):
        create("wan2_1_t2v_1_3b", None, 0)
    with pytest.raises(ModelInputError, match="t2v is not wan2_2_ti2v_5b: num_attention_heads 2 instead of 24"):
        create("wan2_2_ti2v_5b", public, 0)
    with pytest.raises(ModelInputError, match="there is no preset 'huge'"):
        create("huge", None, 0)


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wav2vec2")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "conv_dim": [8] * 7}
    Wav2Vec2Model(Wav2Vec2Config(**sizes, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_what_hears_by_wav2vec2_is_written_and_read(name: str, wav2vec2: Path, public: Path, tmp_path: Path) -> None:
    create(name, public if name == "small" else None, 0, wav2vec2).save(tmp_path / "new")
    loaded = Checkpoint.load(tmp_path / "new", preset=name)
    assert isinstance(loaded.audio_features, Wav2Vec2Features)
    assert loaded.transformer.config.audio_dim == loaded.audio_features.dim == 16


def test_a_folder_that_holds_no_wav2vec2_is_told(public: Path) -> None:
    with pytest.raises(ModelInputError, match="wav2vec2"):
        create("tiny", None, 0, public / "text_encoder")
