"""wav2vec 2.0 features, against transformers' own extractor and network; the network is tiny and random."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from model.audio.protocols import AudioFeatures
from model.audio.wav2vec2 import Wav2Vec2Features
from model.errors import ModelInputError

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wav2vec2")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Wav2Vec2Model(Wav2Vec2Config(**TINY)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def changed(folder: Path, target: Path, file: str, **changes: object) -> Path:
    """A copy of the folder with another setting in one of its files."""
    shutil.copytree(folder, target)
    settings = json.loads((target / file).read_text())
    (target / file).write_text(json.dumps({**settings, **changes}))
    return target


def drawn_sound(samples: int) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(1)) * 0.1 + 0.02


def of_transformers(extractor: Any, network: Any, sound: torch.Tensor, layers: str) -> torch.Tensor:
    """The extractor normalises; 40 zeros before, and enough behind for ceil(samples / 320) vectors."""
    values = extractor(sound.numpy(), sampling_rate=16_000, return_tensors="pt").input_values
    count = -(-len(sound) // 320)
    padded = torch.zeros(1, 320 * count + 80)
    padded[:, 40 : 40 + len(sound)] = values
    with torch.no_grad():
        states = network(padded, output_hidden_states=True)
    return states.last_hidden_state[0] if layers == "last" else sum(states.hidden_states)[0] / len(states.hidden_states)


@pytest.mark.parametrize("layers", ["last", "mean"])
@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_are_those_of_transformers(folder: Path, tmp_path: Path, layers: str, normalize: bool) -> None:
    folder = changed(folder, tmp_path / "changed", "preprocessor_config.json", do_normalize=normalize)
    features: AudioFeatures = Wav2Vec2Features.load(folder, layers="last" if layers == "last" else "mean")
    extractor, network = Wav2Vec2FeatureExtractor.from_pretrained(folder), Wav2Vec2Model.from_pretrained(folder).eval()
    for samples in (1, 320, 321, 5007):
        sound = drawn_sound(samples)
        found = features.extract(sound, 16_000)
        assert found.shape == (-(-samples // 320), features.dim)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, of_transformers(extractor, network, sound, layers), rtol=0, atol=1e-5)


def test_a_vector_is_centred_on_its_own_samples(folder: Path, tmp_path: Path) -> None:
    features = Wav2Vec2Features.load(changed(folder, tmp_path / "changed", "preprocessor_config.json", do_normalize=False))
    seen: list[torch.Tensor] = []
    hook = features._network.feature_extractor.conv_layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    sound = torch.arange(1.0, 961.0)
    features.extract(sound, 16_000)
    hook.remove()
    given = seen[0].flatten()
    assert len(given) == 320 * 2 + 400
    for vector in range(3):
        field = given[320 * vector : 320 * vector + 400]
        assert torch.equal(field[40:360], sound[320 * vector : 320 * vector + 320])


def test_the_same_part_gives_the_same_vectors_and_a_part_about_those_of_the_whole(folder: Path) -> None:
    features = Wav2Vec2Features.load(folder)
    sound = drawn_sound(16_000 * 6)
    whole, part = features.extract(sound, 16_000), features.extract(sound[320 * 50 : 320 * 250], 16_000)
    assert torch.equal(part, features.extract(sound[320 * 50 : 320 * 250].clone(), 16_000))
    assert not torch.equal(part[90:110], whole[140:160])
    torch.testing.assert_close(part[90:110], whole[140:160], rtol=0, atol=0.1)


def test_nothing_gives_nothing_and_silence_is_finite(folder: Path) -> None:
    features = Wav2Vec2Features.load(folder)
    assert features.extract(torch.zeros(0), 16_000).shape == (0, 16)
    assert torch.isfinite(features.extract(torch.zeros(16_000), 16_000)).all()


def test_saved_loads_again_with_its_layers_and_moves(folder: Path, tmp_path: Path) -> None:
    features = Wav2Vec2Features.load(folder, layers="mean")
    features.save(tmp_path / "audio_features")
    again = Wav2Vec2Features.load(tmp_path / "audio_features")
    assert again.layers == "mean"
    sound = drawn_sound(5000)
    assert torch.equal(again.extract(sound, 16_000), features.extract(sound, 16_000))
    assert again.to("cpu", torch.bfloat16).extract(sound, 16_000).dtype == torch.float32


def test_a_checkpoint_without_what_is_for_training_only_loads(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    weights = other / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if name != "masked_spec_embed"}, weights, metadata={"format": "pt"})
    sound = drawn_sound(3000)
    assert torch.equal(Wav2Vec2Features.load(other).extract(sound, 16_000), Wav2Vec2Features.load(folder).extract(sound, 16_000))


def test_networks_that_do_not_fit_are_told(folder: Path, tmp_path: Path) -> None:
    slow = changed(folder, tmp_path / "slow", "preprocessor_config.json", sampling_rate=8000)
    with pytest.raises(ModelInputError, match="hears 8000 samples per second; give one of 16000"):
        Wav2Vec2Features.load(slow)
    odd = changed(folder, tmp_path / "odd", "config.json", conv_stride=[5, 2, 2, 2, 2, 2, 1])
    with pytest.raises(ModelInputError, match="has a vector every 160 samples"):
        Wav2Vec2Features.load(odd)
    layered = changed(folder, tmp_path / "layered", "config.json", feature_layers="first")
    with pytest.raises(ModelInputError, match="one of last, mean, not 'first'"):
        Wav2Vec2Features.load(layered)
    bare = Path(shutil.copytree(folder, tmp_path / "bare"))
    (bare / "preprocessor_config.json").unlink()
    with pytest.raises(ModelInputError, match=r"has no preprocessor_config\.json"):
        Wav2Vec2Features.load(bare)
    with pytest.raises(ModelInputError, match="has 44100 samples per second"):
        Wav2Vec2Features.load(folder).extract(torch.zeros(9), 44_100)
