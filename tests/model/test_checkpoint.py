"""Checkpoints against diffusers: folders that its own pipelines write are read, what we write it reads, and the outputs are the same bits."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from rich.console import Console
from torch import Tensor
from transformers import UMT5EncoderModel

import model.transformer
from model.checkpoint import INDEX, USAGE, Checkpoint, load_transformer, stock_transformer
from model.conditions.clip import ClipImageEncoder
from model.conditions.umt5 import UMT5TextEncoder
from model.conditions.wan_codec import WanCodec
from model.create import create_tiny
from model.errors import ModelInputError
from model.layout import Layout
from model.positions import AnchorPositions
from model.presets import Usage, tiny, wan2_1_i2v_14b, wan2_1_t2v_1_3b
from model.sampler import SamplerOptions
from model.transformer import NEW_PARAMETERS, AnchorWanTransformer3DModel
from tests.model.tiny_wan import SHIFT, TEXT_DIM, change_config, change_weights, image_to_video, in_diffusers, stock, text_to_video

HEARING: dict[str, Any] = {"audio_dim": 80, "audio_layers": (1,)}


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a public text-to-video checkpoint looks like."""
    return text_to_video(tmp_path_factory.mktemp("public") / "t2v")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours") / "tiny"
    create_tiny(0).save(folder)
    return folder


@pytest.fixture
def folder(public: Path, tmp_path: Path) -> Path:
    """A public checkpoint to be damaged."""
    return Path(shutil.copytree(public, tmp_path / "t2v"))


def drawn_inputs(config: Any, frames: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    inputs = {
        "hidden_states": torch.randn(1, config.in_channels, frames, 4, 6, generator=generator),
        "timestep": torch.tensor([621]),
        "encoder_hidden_states": torch.randn(1, 512, config.text_dim, generator=generator),
    }
    if config.image_dim is not None:
        inputs["encoder_hidden_states_image"] = torch.randn(1, 5, config.image_dim, generator=generator)
    return inputs


@torch.no_grad()
def output(network: Any) -> Tensor:
    return network(**drawn_inputs(network.config), return_dict=False)[0]


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module, but: str = "-") -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    assert all(first[name].dtype == second[name].dtype and (name.startswith(but) or torch.equal(first[name], second[name])) for name in first)


def test_a_public_checkpoint_is_read_as_it_is(public: Path) -> None:
    checkpoint = Checkpoint.load(public)
    theirs = in_diffusers(public / "transformer")
    assert_same_weights(checkpoint.transformer, theirs)
    assert torch.equal(output(checkpoint.transformer), output(theirs))
    assert isinstance(checkpoint.codec, WanCodec)
    assert isinstance(checkpoint.text_encoder, UMT5TextEncoder)
    assert checkpoint.image_encoder is None
    assert checkpoint.audio_features.dim == 80
    assert (checkpoint.sampling, checkpoint.layout, checkpoint.preset) == (SamplerOptions("unipc", 50, SHIFT), Layout(16, 0), None)
    assert not checkpoint.transformer.training


def test_a_public_checkpoint_that_looks_at_pictures_too(tmp_path: Path) -> None:
    public = image_to_video(tmp_path / "i2v")
    checkpoint = Checkpoint.load(public)
    assert isinstance(checkpoint.image_encoder, ClipImageEncoder)
    assert checkpoint.layout == Layout(16, 4)
    theirs = in_diffusers(public / "transformer")
    assert torch.equal(output(checkpoint.transformer), output(theirs))
    checkpoint.save(tmp_path / "ours")
    again = Checkpoint.load(tmp_path / "ours")
    assert again.image_encoder is not None
    picture = torch.linspace(-1, 1, 3 * 28 * 28).view(1, 3, 28, 28)
    assert torch.equal(again.image_encoder.encode(picture), checkpoint.image_encoder.encode(picture))
    shutil.rmtree(public / "image_encoder")
    with pytest.raises(ModelInputError, match=r"image_encoder has no config\.json"):
        Checkpoint.load(public)


def test_encoders_stay_where_they_are(tmp_path: Path) -> None:
    """The device "meta" holds no numbers: what was moved there has none."""
    checkpoint = Checkpoint.load(image_to_video(tmp_path / "i2v"))
    assert isinstance(checkpoint.codec, WanCodec)
    assert checkpoint.to("meta") is checkpoint
    assert all(parameter.is_meta for parameter in checkpoint.transformer.parameters())
    assert all(parameter.is_meta for parameter in checkpoint.codec._vae.parameters())
    assert checkpoint.text_encoder.encode(["rain"]).device.type == "cpu"
    assert checkpoint.image_encoder is not None
    assert checkpoint.image_encoder.encode(torch.zeros(1, 3, 28, 28)).device.type == "cpu"


@pytest.mark.parametrize("make", [text_to_video, image_to_video])
def test_the_index_says_what_is_in_which_folder(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """In diffusers' words: its pipelines read by it all but our network."""
    theirs = json.loads((make(tmp_path / "stock") / INDEX).read_text().replace("CLIPImageProcessorPil", "CLIPImageProcessor"))  # as its own file calls it
    checkpoint = Checkpoint.load(tmp_path / "stock")
    checkpoint.save(tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / INDEX).read_text())
    own = {"_class_name", "transformer", "audio_features"}
    assert {name: part for name, part in written.items() if name not in own} == {
        name: part for name, part in theirs.items() if isinstance(part, list) and None not in part and name not in own
    }
    assert written["transformer"] == ["model.transformer", "AnchorWanTransformer3DModel"]
    assert written["audio_features"] == ["model.audio.log_mel", "LogMel"]
    assert set(written) - {"_class_name"} == {path.name for path in (tmp_path / "ours").iterdir() if path.is_dir()}
    change_config(tmp_path / "ours" / INDEX, transformer=theirs["transformer"])
    pipeline = getattr(diffusers, theirs["_class_name"]).from_pretrained(tmp_path / "ours", transformer=stock_transformer(checkpoint.transformer))
    assert_same_weights(pipeline.text_encoder, UMT5EncoderModel.from_pretrained(tmp_path / "stock" / "text_encoder"))


def test_folders_that_are_no_part_are_in_no_index(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    Checkpoint.load(ours).save(tmp_path)
    assert set(json.loads((tmp_path / INDEX).read_text())) == {"_class_name", USAGE, "transformer", "vae", "text_encoder", "scheduler", "audio_features"}


def test_how_a_network_is_to_be_used_is_written_and_read_back(ours: Path, tmp_path: Path) -> None:
    """Even when it is of another size than every preset, as the networks of ablations are."""
    copy = Path(shutil.copytree(ours, tmp_path / "copy"))
    checkpoint = Checkpoint.load(copy)
    assert (checkpoint.usage, checkpoint.usage_guessed) == (tiny().usage, False)
    shorter = tiny().build(num_layers=2)
    usage = Usage(frame_rate=12.5, chunk_latents=6, area=32 * 32, steps=5, guidance=2.0)
    replace(checkpoint, transformer=shorter, own_usage=usage).save(tmp_path / "shorter")
    again = Checkpoint.load(tmp_path / "shorter")
    assert (again.preset, again.usage, again.usage_guessed, again.sampling.steps) == (None, usage, False, 5)


def test_without_a_word_the_preset_tells_else_wans_of_the_same_kind(public: Path, ours: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ours, tmp_path / "copy"))
    index = json.loads((copy / INDEX).read_text())
    (copy / INDEX).write_text(json.dumps({key: value for key, value in index.items() if key != USAGE}))
    old = Checkpoint.load(copy)
    assert (old.own_usage, old.usage, old.usage_guessed) == (None, tiny().usage, False)

    guessed = Checkpoint.load(public)
    assert (guessed.usage, guessed.usage_guessed) == (wan2_1_t2v_1_3b().usage, True)
    beside = Checkpoint.load(image_to_video(tmp_path / "i2v"))
    assert (beside.usage, beside.usage_guessed, beside.sampling.steps) == (wan2_1_i2v_14b().usage, True, 40)
    guessed.save(tmp_path / "guessed")
    assert Checkpoint.load(tmp_path / "guessed").usage_guessed, "a guess must not become a fact by being saved"


def test_shards_are_one_network(folder: Path) -> None:
    whole = Checkpoint.load(folder).transformer
    theirs = in_diffusers(folder / "transformer")
    shutil.rmtree(folder / "transformer")
    theirs.save_pretrained(folder / "transformer", max_shard_size="40KB")
    shards = sorted((folder / "transformer").glob("*.safetensors"))
    assert len(shards) > 2
    assert_same_weights(Checkpoint.load(folder).transformer, whole)
    shutil.copy(shards[0], folder / "transformer" / "left-over.safetensors")  # is in no index
    assert_same_weights(Checkpoint.load(folder).transformer, whole)
    shards[1].unlink()
    with pytest.raises(ModelInputError, match=rf"transformer lacks {shards[1].name}; check that the download is complete"):
        Checkpoint.load(folder)


def test_what_a_stock_checkpoint_lacks_is_new_and_of_no_effect(public: Path) -> None:
    plain, hearing = load_transformer(public / "transformer"), load_transformer(public / "transformer", **HEARING)
    new = hearing.state_dict().keys() - plain.state_dict().keys()
    assert new
    assert all(name.startswith(NEW_PARAMETERS) for name in new)
    assert plain.state_dict().keys() <= hearing.state_dict().keys()
    audio = torch.randn(1, 3, hearing.config.audio_window, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        heard = hearing(**drawn_inputs(hearing.config), audio=audio, return_dict=False)[0]
    assert torch.equal(heard, output(plain))


@pytest.mark.parametrize("changes", [{}, HEARING], ids=["deaf", "hearing"])
def test_nothing_is_left_without_values(public: Path, changes: dict[str, Any]) -> None:
    network = load_transformer(public / "transformer", **changes)
    dropped = stock_transformer(network)
    for module in (network, dropped):
        tensors = [*module.parameters(), *module.buffers(), *vars(module.rope).get("_buffers", {}).values()]
        assert tensors
        assert not any(tensor.is_meta for tensor in tensors)


def test_bfloat16_keeps_what_wan_keeps_in_float32(public: Path) -> None:
    """The embedding of time, every norm and every table of modulation; checked by hand against diffusers' own loader, which needs accelerate for it."""
    network = load_transformer(public / "transformer", torch.bfloat16, **HEARING)
    of_a_block = ["norm2.weight", "norm2.bias", "scale_shift_table"]
    of_time = [f"condition_embedder.time_embedder.linear_{layer}.{part}" for layer in (1, 2) for part in ("weight", "bias")]
    kept = {"scale_shift_table", *of_time, *(f"blocks.{block}.{name}" for block in (0, 1) for name in of_a_block)}
    dtypes = {name: parameter.dtype for name, parameter in network.named_parameters()}
    assert {name for name, dtype in dtypes.items() if dtype == torch.float32} == kept
    assert set(dtypes.values()) == {torch.float32, torch.bfloat16}
    assert network.dtype == torch.bfloat16
    whole = load_transformer(public / "transformer").state_dict()
    assert all(torch.equal(parameter, whole[name].to(parameter.dtype)) for name, parameter in network.named_parameters() if name in whole)


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32])
def test_without_a_type_weights_are_of_that_which_they_are_stored_in(folder: Path, stored: torch.dtype) -> None:
    """Also where files hold all of them in it, or some in float32, as files of Wan do."""
    kept = ("norm2", "scale_shift_table", "time_embedder")
    change_weights(folder / "transformer", lambda weights: {name: w if any(k in name for k in kept) else w.to(stored) for name, w in weights.items()})
    network = load_transformer(folder / "transformer", None, **HEARING)
    assert network.dtype == network.patch_embedding.weight.dtype == network.audio_embedder.projection.linear_1.weight.dtype == stored
    assert_same_weights(network, load_transformer(folder / "transformer", stored, **HEARING), but=NEW_PARAMETERS)


def test_ours_loads_back_to_the_bit(ours: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(ours, preset="tiny")
    assert_same_weights(checkpoint.transformer, create_tiny(0).transformer)
    assert dict(checkpoint.transformer.config)["audio_layers"] == (0, 2)
    assert (checkpoint.preset, checkpoint.sampling.name, checkpoint.sampling.shift) == ("tiny", "unipc", 3.0)
    train_a_little(checkpoint.transformer)
    checkpoint.save(tmp_path / "again")
    again = Checkpoint.load(tmp_path / "again")
    assert_same_weights(again.transformer, checkpoint.transformer)
    assert torch.equal(again.text_encoder.encode(["a b"]), checkpoint.text_encoder.encode(["a b"]))
    assert {**vars(again.codec)} == {**vars(checkpoint.codec)}
    written = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*") if path.is_file()}
    again.save(tmp_path / "third")
    assert all((tmp_path / "third" / name).read_bytes() == content for name, content in written.items())


def train_a_little(network: AnchorWanTransformer3DModel) -> None:
    """Weights as they might be after training: what begins at zero is not zero any more."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)


@pytest.mark.parametrize("by", ["function", "command"])
def test_ours_without_what_is_new_is_stock(ours: Path, tmp_path: Path, by: str) -> None:
    checkpoint = Checkpoint.load(ours)
    train_a_little(checkpoint.transformer)
    if by == "function":
        stock_transformer(checkpoint.transformer).save_pretrained(tmp_path / "out")
    else:
        from model.__main__ import run
        from model.generate.options import Export

        checkpoint.save(tmp_path / "checkpoint")
        said = StringIO()
        run(Export(tmp_path / "checkpoint", tmp_path / "out"), Console(file=said))
        assert "stock diffusers" in said.getvalue()
    theirs = in_diffusers(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["_class_name"] == "WanTransformer3DModel"
    assert torch.equal(output(theirs), output(checkpoint.transformer))
    assert load_transformer(tmp_path / "out").state_dict().keys() == theirs.state_dict().keys()


def test_the_stock_network_shares_its_weights_and_has_its_tables(ours: Path) -> None:
    checkpoint = Checkpoint.load(ours)
    dropped = stock_transformer(checkpoint.transformer)
    assert dropped.patch_embedding.weight.data_ptr() == checkpoint.transformer.patch_embedding.weight.data_ptr()
    assert torch.equal(output(dropped), output(checkpoint.transformer))


def test_where_anchors_stand_is_written_and_read_back(ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that were trained with some positions must keep them when the defaults of the code become others."""
    written = json.loads((ours / "transformer" / "config.json").read_text())["anchor_positions"]
    assert written == asdict(AnchorPositions())

    other = AnchorPositions(first=24, kind_step=20.5, subclass_step=2.5, repeat_step=0.5, most_repeats=3, longest_chunk=22)
    checkpoint = Checkpoint.load(ours)
    moved = AnchorWanTransformer3DModel(**{**arguments_of(checkpoint.transformer), "anchor_positions": asdict(other)})
    replace(checkpoint, transformer=moved).save(tmp_path / "moved")
    assert Checkpoint.load(tmp_path / "moved").transformer.anchor_positions == other

    def with_other_defaults(**fields: float) -> AnchorPositions:
        return AnchorPositions(**{**asdict(other), **fields})

    monkeypatch.setattr(model.transformer, "AnchorPositions", with_other_defaults)
    assert AnchorWanTransformer3DModel(**arguments_of(checkpoint.transformer, without="anchor_positions")).anchor_positions == other
    assert Checkpoint.load(ours).transformer.anchor_positions == AnchorPositions()


def arguments_of(network: AnchorWanTransformer3DModel, without: str = "") -> dict[str, Any]:
    return {key: value for key, value in network.config.items() if not key.startswith("_") and key != without}


def test_another_preset_is_told_by_its_name(ours: Path, public: Path) -> None:
    with pytest.raises(ModelInputError, match=r"tiny is not wan2_1_t2v_1_3b but tiny: num_attention_heads 8 instead of 12; .*num_layers 4 instead of 30"):
        Checkpoint.load(ours, preset="wan2_1_t2v_1_3b")
    with pytest.raises(ModelInputError, match=r"t2v is not tiny: .*in_channels 16 instead of 48"):
        Checkpoint.load(public, preset="tiny")
    with pytest.raises(ModelInputError, match="there is no preset 'huge'; there are tiny"):
        Checkpoint.load(public, preset="huge")


def without(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda weights: {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("blocks.1.attn1.to_k.bias"), r"do not fit its config.json: blocks\.1\.attn1\.to_k\.bias is missing"),
        (lambda weights: {**weights, "blocks.2.attn1.to_k.bias": torch.zeros(1)}, r"blocks\.2\.attn1\.to_k\.bias is not a part of it"),
        (
            lambda weights: {**weights, "audio_embedder.projection.linear_1.bias": torch.zeros(1)},
            r"audio_embedder\.projection\.linear_1\.bias is not a part of it",
        ),
        (lambda weights: {**weights, "proj_out.bias": torch.zeros(7)}, r"do not fit its config.json .*proj_out\.bias"),
    ],
    ids=["missing", "unexpected", "unexpected audio", "shape"],
)
def test_weights_that_do_not_fit_are_told(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], said: str) -> None:
    change_weights(folder / "transformer", change)
    with pytest.raises(ModelInputError, match=said):
        Checkpoint.load(folder)


def test_what_a_network_learned_to_hear_must_be_there(ours: Path, tmp_path: Path) -> None:
    """New values in its place would be no error to anybody, only a video without lips."""
    copy = Path(shutil.copytree(ours, tmp_path / "copy"))
    change_weights(copy / "transformer", without("audio_embedder.projection.linear_2.weight"))
    with pytest.raises(ModelInputError, match=r"audio_embedder\.projection\.linear_2\.weight is missing"):
        Checkpoint.load(copy)


def delete(name: str) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return do


def write(name: str, content: str) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)

    return do


def configure(name: str, **settings: Any) -> Callable[[Path], None]:
    return lambda folder: change_config(folder / name, **settings)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (delete("model_index.json"), "is no checkpoint: it has no model_index.json; give a diffusers pipeline's folder"),
        (write("model_index.json", "{"), "model_index.json cannot be read"),
        (configure("model_index.json", _usage={"steps": 8}), "model_index.json says under _usage how the network is meant to be used, but: there must be area"),
        (configure("model_index.json", _usage={**asdict(tiny().usage), "steps": 0}), "but: steps must be a whole number above 0, not 0; correct it, or remove"),
        (delete("transformer"), "transformer has no config.json"),
        (delete("transformer/diffusion_pytorch_model.safetensors"), r"transformer has no weights \(\*\.safetensors\); check that the download"),
        (write("transformer/diffusion_pytorch_model.safetensors", "cut off"), "the weights in .*transformer cannot be read"),
        (write("transformer/config.json", '{"_class_name": '), "transformer/config.json is not JSON"),
        (configure("transformer/config.json", _class_name="UNet3DConditionModel"), "holds a UNet3DConditionModel, not a Wan transformer"),
        (configure("transformer/config.json", wings=2), "has settings that this network does not .*wings.*another version"),
        (configure("transformer/config.json", anchor_positions={"wings": 2}), "has settings that this network does not .*wings"),
        (configure("transformer/config.json", anchor_positions={"first": 3}), "anchor positions: .* would both stand at"),
        (write("transformer_2/config.json", "{}"), "holds two networks"),
        (configure("vae/config.json", _class_name="AutoencoderKL"), "vae holds a AutoencoderKL; known are AutoencoderKLWan, PixelUnshuffleCodec"),
        (
            write("vae/config.json", json.dumps({"_class_name": "PixelUnshuffleCodec", "spatial_factor": 2, "temporal_factor": 4})),
            "the network makes 16 channels of latents, the codec has 48; take the one it was trained with",
        ),
        (delete("vae"), "vae has no config.json"),
        (configure("text_encoder/config.json", model_type="t5"), "text_encoder holds a t5; known are umt5, WordEmbedding"),
        (delete("tokenizer"), "there is no tokenizer in"),
        (write("scheduler/scheduler_config.json", "{"), "scheduler_config.json cannot be read .*check that the checkpoint is complete"),
        (write("scheduler/scheduler_config.json", "[]"), "scheduler_config.json holds no settings"),
        (delete("scheduler"), "scheduler_config.json cannot be read"),
        (configure("scheduler/scheduler_config.json", _class_name="DDIMScheduler"), "scheduler is DDIMScheduler; only UniPC"),
        (configure("scheduler/scheduler_config.json", prediction_type="epsilon"), "has prediction_type 'epsilon'"),
        (write("audio_features/config.json", '{"_class_name": "Mfcc"}'), "audio_features holds a Mfcc; known are LogMel, wav2vec2"),
    ],
)
def test_folders_that_cannot_be_read_are_told(folder: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(folder)
    with pytest.raises(ModelInputError, match=said):
        Checkpoint.load(folder)


def test_parts_that_do_not_belong_together_are_told(folder: Path, ours: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "text_encoder")
    shutil.copytree(ours / "text_encoder", folder / "text_encoder")
    with pytest.raises(ModelInputError, match=f"the text encoder makes tokens of 64, the network takes {TEXT_DIM}"):
        Checkpoint.load(folder)
    copy = Path(shutil.copytree(ours, tmp_path / "copy"))
    change_config(copy / "audio_features" / "config.json", bins=40)
    with pytest.raises(ModelInputError, match="the audio features have 40 numbers, the network takes 80; put the features"):
        Checkpoint.load(copy)
    with pytest.raises(ModelInputError, match="the text encoder makes tokens of 64"):
        replace(Checkpoint.load(ours), transformer=load_stock(tmp_path)).save(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def load_stock(folder: Path) -> AnchorWanTransformer3DModel:
    stock(in_channels=48, out_channels=48).save_pretrained(folder / "stock")
    return load_transformer(folder / "stock")


def test_whoever_only_encodes_gets_all_but_the_weights_of_the_network(ours: Path, public: Path, tmp_path: Path) -> None:
    for folder in (ours, public):
        whole, encoders = Checkpoint.load(folder), Checkpoint.load_encoders(folder)
        assert {parameter.device.type for parameter in encoders.transformer.parameters()} == {"meta"}
        assert (encoders.transformer.config, encoders.layout, encoders.usage) == (whole.transformer.config, whole.layout, whole.usage)
        assert [part.fingerprint for part in (encoders.codec, encoders.text_encoder, encoders.audio_features)] == [
            part.fingerprint for part in (whole.codec, whole.text_encoder, whole.audio_features)
        ]
    with pytest.raises(ModelInputError, match="is no checkpoint"):
        Checkpoint.load_encoders(tmp_path)
