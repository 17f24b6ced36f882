"""A checkpoint: the network and all that goes with it, in the folder layout of a diffusers pipeline.

    model_index.json        what is in which folder
    transformer/            config.json and safetensors; a stock Wan transformer is read too: what it lacks is made new and has no effect yet
    vae/                    AutoencoderKLWan, or PixelUnshuffleCodec
    text_encoder/           UMT5 (with tokenizer/), or WordEmbedding
    scheduler/              how it is sampled
    image_encoder/ image_processor/     where the network looks at a picture
    audio_features/         Wav2Vec2Features or LogMel; LogMel when there is none

A folder of public Wan weights, as diffusers publishes them, is a checkpoint as it is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
from model.presets import differences, nearest
from model.sampler import SamplerOptions
from model.transformer import NEW_PARAMETERS, STOCK_ARGUMENTS, AnchorWanTransformer3DModel

INDEX = "model_index.json"


@dataclass(slots=True)
class Checkpoint:
    """A network and what turns pixels, words and sounds into what it takes.

    Attributes:
        transformer: the network.
        codec, text_encoder, image_encoder, audio_features: around it; no image encoder where the network looks at no picture.
        sampling: how the checkpoint asks to be sampled.
    """

    transformer: AnchorWanTransformer3DModel
    codec: Codec
    text_encoder: TextEncoder
    image_encoder: ImageEncoder | None
    audio_features: AudioFeatures
    sampling: SamplerOptions

    @property
    def preset(self) -> str | None:
        """The preset that the network is, or None."""
        return nearest(self.transformer.config)

    @property
    def layout(self) -> Layout:
        """Channels of the network's input."""
        return Layout.of(self.transformer.config, self.codec)

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype = torch.float32, preset: str | None = None) -> Self:
        """Read a folder.

        Args:
            folder: see above.
            dtype: of the network's weights; those that Wan keeps in float32 stay so. The codec is in float32, encoders as they are stored.
            preset: the network has to be this one.

        Raises:
            ModelInputError: something is missing or does not belong together; the message says what.
        """
        if not (folder / INDEX).is_file():
            raise ModelInputError(f"{folder} is no checkpoint: it has no {INDEX}; give a diffusers pipeline's folder, or one of `python -m model init`")
        if (folder / "transformer_2").exists():
            raise ModelInputError(f"{folder} holds two networks, one for each half of the noise levels (Wan 2.2 A14B); only checkpoints of one can be read")
        config = read_config(folder / "transformer")
        if preset is not None and (found := differences(config, preset)):
            raise ModelInputError(f"{folder} is not {preset}{_called(config)}: {'; '.join(found)}")
        checkpoint = cls(
            load_transformer(folder / "transformer", dtype),
            _load_codec(folder / "vae"),
            _load_text_encoder(folder / "text_encoder"),
            ClipImageEncoder.load(folder / "image_encoder") if config.get("image_dim") is not None else None,
            _load_audio_features(folder / "audio_features"),
            SamplerOptions.from_scheduler_config(_read_json(folder / "scheduler" / "scheduler_config.json")),
        )
        checkpoint._check()
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
        parts = {"transformer": self.transformer, "vae": self.codec, "text_encoder": self.text_encoder, "audio_features": self.audio_features}
        index = {name: [type(part).__module__, type(part).__name__] for name, part in parts.items()}
        _write_json(folder / INDEX, {"_class_name": "GloriaPipeline", **index})

    def to(self, device: str) -> Self:
        """Move everything."""
        self.transformer.to(device)
        self.codec.to(device)
        self.text_encoder.to(device)
        self.audio_features.to(device)
        if self.image_encoder is not None:
            self.image_encoder.to(device)
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


def load_transformer(folder: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> AnchorWanTransformer3DModel:
    """The network out of a folder that we or diffusers wrote; no second copy of the weights is ever made.

    Args:
        folder: config.json and safetensors.
        dtype: of the weights, but of those that Wan keeps in float32.
        changes: arguments of the network that the folder's config does not have or that are to be others, for instance ``audio_layers``.

    Raises:
        ModelInputError: no such folder, another architecture, or weights that do not fit.
    """
    config = read_config(folder)
    if (found := class_of(config)) not in {"WanTransformer3DModel", "AnchorWanTransformer3DModel"}:
        raise ModelInputError(f"{folder} holds a {found or 'network without a name'}, not a Wan transformer")
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items() if not key.startswith("_")}
    try:
        with torch.device("meta"):
            model = AnchorWanTransformer3DModel(**{**arguments, **changes})
    except TypeError as error:
        raise ModelInputError(f"the config.json of {folder} has settings that this network does not ({error}); it was written by another version") from error
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
    cast(model, dtype)
    return model.eval()


def cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights in place, but those that Wan keeps in float32 (norms, modulation, the embedding of time).

    All are copied: weights that lie in a mapped file lie at any address, and kernels give other last bits where a matrix is not aligned.
    """
    kept = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if kept & set(name.split(".")) else dtype, copy=True)


def stock_transformer(model: AnchorWanTransformer3DModel) -> WanTransformer3DModel:
    """The stock network with the same weights (shared, not copied): what is ours is dropped."""
    with torch.device("meta"):
        stock = WanTransformer3DModel(**{key: value for key, value in model.config.items() if key in STOCK_ARGUMENTS})
    rope = type(stock.rope)(model.config.attention_head_dim, model.config.patch_size, model.config.rope_max_seq_len)
    stock.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith(NEW_PARAMETERS)}, assign=True)
    stock.rope = rope  # its tables are in no state dict
    return stock.eval()


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
