"""A checkpoint: the network and all that goes with it, in the folder layout of a diffusers pipeline.

    model_index.json        what is in which folder, and how the network is meant to be used (where it is known)
    transformer/            config.json and safetensors; a stock Wan transformer is read too: what it lacks is made new and has no effect yet
    vae/                    AutoencoderKLWan, or PixelUnshuffleCodec
    text_encoder/ tokenizer/            UMT5; or WordEmbedding, which needs no tokenizer
    scheduler/              how it is sampled
    image_encoder/ image_processor/     where the network looks at a picture
    audio_features/         Wav2Vec2Features or LogMel; LogMel when there is none

A folder of public Wan weights, as diffusers publishes them, is a checkpoint as it is.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import diffusers
import torch
from diffusers import WanTransformer3DModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model.audio.log_mel import LogMel
from model.audio.protocols import AudioFeatures
from model.audio.wav2vec2 import Wav2Vec2Features
from model.component_config import class_of, read_config
from model.conditions.clip import ClipImageEncoder
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.protocols import Codec, ImageEncoder, TextEncoder
from model.conditions.umt5 import UMT5TextEncoder
from model.conditions.wan_codec import WanCodec
from model.conditions.words import WordEmbedding
from model.errors import ModelInputError
from model.layout import Layout
from model.presets import Usage, differences, nearest
from model.presets import preset as find_preset
from model.sampler import SamplerOptions
from model.transformer import NEW_PARAMETERS, STOCK_ARGUMENTS, AnchorWanTransformer3DModel

INDEX = "model_index.json"
USAGE = "_usage"
"""Where the index says how the network is meant to be used; diffusers passes over keys that begin so."""
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler", "image_encoder", "image_processor", "audio_features")
_NAMED_BY = {
    "tokenizer": ("tokenizer_config.json", "tokenizer_class"),
    "scheduler": ("scheduler_config.json", "_class_name"),
    "image_processor": ("preprocessor_config.json", "image_processor_type"),
}
"""File and key that say of which class a part without a config.json is."""


@dataclass(slots=True)
class Checkpoint:
    """A network and what turns pixels, words and sounds into what it takes.

    Attributes:
        transformer: the network.
        codec, text_encoder, image_encoder, audio_features: around it; no image encoder where the network looks at no picture.
        sampling: how the checkpoint asks to be sampled.
        own_usage: how the network is meant to be used, where the checkpoint says so itself; see ``usage``.
    """

    transformer: AnchorWanTransformer3DModel
    codec: Codec
    text_encoder: TextEncoder
    image_encoder: ImageEncoder | None
    audio_features: AudioFeatures
    sampling: SamplerOptions
    own_usage: Usage | None = None

    @property
    def usage(self) -> Usage:
        """How the network is meant to be used: as the checkpoint says, else as the preset that it is, else as Wan's network of the same kind."""
        return self.own_usage or _usage_of(self.transformer.config, self.layout.beside)

    @property
    def usage_guessed(self) -> bool:
        """Whether ``usage`` is only that of a network of the same kind."""
        return self.own_usage is None and self.preset is None

    @property
    def preset(self) -> str | None:
        """The preset that the network is, or None."""
        return nearest(self.transformer.config)

    @property
    def layout(self) -> Layout:
        """Channels of the network's input."""
        return Layout.of(self.transformer.config, self.codec)

    @classmethod
    def load(
        cls,
        folder: Path,
        dtype: torch.dtype | None = torch.float32,
        preset: str | None = None,
        audio_features: AudioFeatures | None = None,
        **changes: Any,
    ) -> Self:
        """Read a folder.

        Args:
            folder: see above.
            dtype: of the network's weights, as stored when None; those that Wan keeps in float32 stay so. The codec is in float32, encoders as they are stored.
            preset: the network has to be this one.
            audio_features: instead of those in the folder.
            changes: arguments of the network that are to be others than in the folder; see ``load_transformer``.

        Raises:
            ModelInputError: something is missing or does not belong together; the message says what.
        """
        _check_folder(folder)
        config = read_config(folder / "transformer")
        if preset is not None and (found := differences(config, preset)):
            raise ModelInputError(f"{folder} is not {preset}{_called(config)}: {'; '.join(found)}")
        return cls._around(load_transformer(folder / "transformer", dtype, **changes), folder, audio_features)

    @classmethod
    def load_encoders(cls, folder: Path) -> Self:
        """Read a folder for whoever only encodes: the network's weights stay where they are, it has a configuration and lies on torch's meta device.

        Raises:
            ModelInputError: as ``load``.
        """
        _check_folder(folder)
        return cls._around(_empty_transformer(folder / "transformer"), folder)

    @classmethod
    def _around(cls, transformer: AnchorWanTransformer3DModel, folder: Path, audio_features: AudioFeatures | None = None) -> Self:
        """A network with what else is in the folder."""
        usage = _read_usage(folder / INDEX)
        checkpoint = cls(
            transformer,
            _load_codec(folder / "vae"),
            _load_text_encoder(folder / "text_encoder"),
            ClipImageEncoder.load(folder / "image_encoder") if transformer.config.image_dim is not None else None,
            audio_features or _load_audio_features(folder / "audio_features"),
            SamplerOptions.from_scheduler_config(_read_json(folder / "scheduler" / "scheduler_config.json")),
            usage,
        )
        checkpoint._check()
        checkpoint.sampling = replace(checkpoint.sampling, steps=checkpoint.usage.steps)  # which a scheduler's configuration does not say
        return checkpoint

    def save(self, folder: Path) -> None:
        """Write a folder that ``load`` reads; diffusers' own loaders read its parts too, where they are diffusers' own."""
        self._check()
        self.transformer.save_pretrained(folder / "transformer")
        self.codec.save(folder / "vae")
        self.text_encoder.save(folder / "text_encoder")
        if self.image_encoder is not None:
            self.image_encoder.save(folder / "image_encoder")
        self.audio_features.save(folder / "audio_features")
        (folder / "scheduler").mkdir(parents=True, exist_ok=True)
        _write_json(folder / "scheduler" / "scheduler_config.json", self.sampling.scheduler_config())
        index: dict[str, Any] = {"_class_name": "GloriaPipeline", **dict(_parts(folder))}
        if not self.usage_guessed:
            index[USAGE] = asdict(self.usage)
        _write_json(folder / INDEX, index)

    def to(self, device: str) -> Self:
        """Move what every chunk needs: the network, the codec, the audio features.

        The encoders of text and pictures stay: they are needed once, UMT5 is larger than most networks, and who encodes moves them there and back.
        """
        self.transformer.to(device)
        self.codec.to(device)
        self.audio_features.to(device)
        return self

    def _check(self) -> None:
        """The parts belong together.

        Raises:
            ModelInputError: they do not.
        """
        config = self.transformer.config
        _ = self.layout
        if self.text_encoder.dim != config.text_dim:
            raise ModelInputError(
                f"the text encoder makes tokens of {self.text_encoder.dim}, the network takes {config.text_dim}; take the pair that belongs together"
            )
        if config.audio_dim is not None and self.audio_features.dim != config.audio_dim:
            raise ModelInputError(
                f"the audio features have {self.audio_features.dim} numbers, the network takes {config.audio_dim}; "
                "put the features that it was trained with into audio_features/"
            )
        if self.image_encoder is not None and self.image_encoder.dim != config.image_dim:
            raise ModelInputError(f"the image encoder makes tokens of {self.image_encoder.dim}, the network takes {config.image_dim}")


def load_transformer(folder: Path, dtype: torch.dtype | None = torch.float32, **changes: Any) -> AnchorWanTransformer3DModel:
    """The network out of a folder that we or diffusers wrote.

    Memory is taken for one copy of the weights. The files are mapped until it is made: what is read of them counts as resident too, but the
    system drops it when it needs the room.

    Args:
        folder: config.json and safetensors.
        dtype: of the weights, but of those that Wan keeps in float32; when None, that in which most of the others are stored.
        changes: arguments of the network that the folder's config does not have or that are to be others, for instance ``audio_layers``.

    Raises:
        ModelInputError: no such folder, another architecture, or weights that do not fit.
    """
    model = _empty_transformer(folder, **changes)
    model.build_audio()  # on the CPU: what the folder lacks must have values
    weights = _read_weights(folder)
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError as error:
        raise ModelInputError(f"the weights in {folder} do not fit its config.json ({' '.join(str(error).split())[:300]})") from error
    made_new = NEW_PARAMETERS if changes else ()  # what the folder itself says that it has must be there
    missing = [name for name in missing if not name.startswith(made_new)]
    if missing or unexpected:
        wrong = [f"{name} is missing" for name in missing[:3]] + [f"{name} is not a part of it" for name in unexpected[:3]]
        raise ModelInputError(f"the weights in {folder} do not fit its config.json: {', '.join(wrong)}")
    del weights  # where they are not mapped, each is let go as it is copied
    cast(model, dtype or _stored_dtype(model))
    return model.eval()


def _empty_transformer(folder: Path, **changes: Any) -> AnchorWanTransformer3DModel:
    """The network of a folder's config.json, without weights; raises as ``load_transformer``."""
    config = read_config(folder)
    if (found := class_of(config)) not in {"WanTransformer3DModel", "AnchorWanTransformer3DModel"}:
        raise ModelInputError(f"{folder} holds a {found or 'network without a name'}, not a Wan transformer")
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items() if not key.startswith("_")}
    try:
        with torch.device("meta"):
            return AnchorWanTransformer3DModel(**{**arguments, **changes})
    except TypeError as error:
        raise ModelInputError(f"the config.json of {folder} has settings that this network does not ({error}); it was written by another version") from error


def cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights in place, but those that Wan keeps in float32 (norms, modulation, the embedding of time).

    All are copied: weights that lie in a mapped file lie at any address, and kernels give other last bits where a matrix is not aligned.
    """
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if _kept(model, name) else dtype, copy=True)


def stock_transformer(model: AnchorWanTransformer3DModel) -> WanTransformer3DModel:
    """The stock network with the same weights (shared, not copied): what is ours is dropped."""
    with torch.device("meta"):
        stock = WanTransformer3DModel(**{key: value for key, value in model.config.items() if key in STOCK_ARGUMENTS})
    rope = type(stock.rope)(model.config.attention_head_dim, model.config.patch_size, model.config.rope_max_seq_len)
    stock.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith(NEW_PARAMETERS)}, assign=True)
    stock.rope = rope  # its tables are in no state dict
    return stock.eval()


def _kept(model: nn.Module, name: str) -> bool:
    return not set(name.split(".")).isdisjoint(getattr(model, "_keep_in_fp32_modules", None) or ())


def _stored_dtype(model: nn.Module) -> torch.dtype:
    counts: Counter[torch.dtype] = Counter()
    for name, parameter in model.named_parameters():
        if not _kept(model, name) and not name.startswith(NEW_PARAMETERS):
            counts[parameter.dtype] += parameter.numel()
    return counts.most_common(1)[0][0]


def _check_folder(folder: Path) -> None:
    if not (folder / INDEX).is_file():
        raise ModelInputError(f"{folder} is no checkpoint: it has no {INDEX}; give a diffusers pipeline's folder, or one of `python -m model init`")
    if (folder / "transformer_2").exists():
        raise ModelInputError(f"{folder} holds two networks, one for each half of the noise levels (Wan 2.2 A14B); only checkpoints of one can be read")


def _usage_of(config: Mapping[str, Any], beside: bool) -> Usage:
    return find_preset(nearest(config) or ("wan2_1_i2v_14b" if beside else "wan2_1_t2v_1_3b")).usage


def _read_usage(index: Path) -> Usage | None:
    settings = _read_json(index).get(USAGE)
    try:
        return None if settings is None else Usage.of(settings)
    except ModelInputError as error:
        raise ModelInputError(f"{index} says under {USAGE} how the network is meant to be used, but: {error}; correct it, or remove the key") from error


def _parts(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """What lies in each folder of a checkpoint, as diffusers' index says it: the name, and library and class."""
    for part in PARTS:
        if (folder / part).is_dir() and (name := _class_in(folder / part)) is not None:
            yield part, [_library_of(name), name]


def _class_in(folder: Path) -> str | None:
    if folder.name in _NAMED_BY:
        file, key = _NAMED_BY[folder.name]
        return _read_json(folder / file).get(key)
    config = read_config(folder)
    return config["architectures"][0] if config.get("architectures") else class_of(config)


def _library_of(name: str) -> str:
    ours = {part.__name__: part.__module__ for part in (AnchorWanTransformer3DModel, PixelUnshuffleCodec, WordEmbedding, LogMel)}
    return ours.get(name) or ("diffusers" if hasattr(diffusers, name) else "transformers")


def _read_weights(folder: Path) -> dict[str, Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelInputError(f"{folder} has no weights (*.safetensors); check that the download is complete")
    index = next(iter(folder.glob("*.safetensors.index.json")), None)
    if index is not None:
        wanted = set(_read_json(index).get("weight_map", {}).values())
        if lost := sorted(wanted - {path.name for path in files}):
            raise ModelInputError(f"{folder} lacks {', '.join(lost)}; check that the download is complete")
        files = [path for path in files if path.name in wanted]
    try:
        return {name: tensor for path in files for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelInputError(f"the weights in {folder} cannot be read ({error}); check that the download is complete") from error


def _load_codec(folder: Path) -> Codec:
    known: dict[str | None, Any] = {"AutoencoderKLWan": WanCodec, "PixelUnshuffleCodec": PixelUnshuffleCodec}
    return _of(known, folder).load(folder)


def _load_text_encoder(folder: Path) -> TextEncoder:
    return _of({"umt5": UMT5TextEncoder, "WordEmbedding": WordEmbedding}, folder).load(folder)


def _load_audio_features(folder: Path) -> AudioFeatures:
    if not folder.exists():
        return LogMel()
    return _of({"LogMel": LogMel, "wav2vec2": Wav2Vec2Features}, folder).load(folder)


def _of(known: Mapping[str | None, Any], folder: Path) -> Any:
    found = class_of(read_config(folder))
    if found not in known:
        raise ModelInputError(f"{folder} holds a {found or 'part without a name'}; known are {', '.join(str(name) for name in known)}")
    return known[found]


def _called(config: Mapping[str, Any]) -> str:
    name = nearest(config)
    return "" if name is None else f" but {name}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelInputError(f"{path} cannot be read ({error}); check that the checkpoint is complete") from error
    if not isinstance(content, dict):
        raise ModelInputError(f"{path} holds no settings; check that the checkpoint is complete")
    return content


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
