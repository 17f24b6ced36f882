"""CLIP's picture tokens, which the image-to-video layout of Wan 2.1 attends to."""

from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModel

from model.errors import ModelInputError
from model.network_fingerprint import network_fingerprint
from model.pretrained import load_frozen


class ClipImageEncoder:
    """A frozen CLIP vision model; a picture's tokens are what its last layer but one puts out.

    Pictures are rounded to 8 bits and go through the checkpoint's own processor (resized, centre cropped), as in Wan's pipeline, which
    is given 8-bit pictures. The processor is always the one that resizes with PIL: the other needs torchvision, and gives other pixels.
    Tokens are of the precision of the weights and lie on their device.
    """

    def __init__(self, encoder: Any, processor: Any) -> None:
        """Take over an encoder: it is put into evaluation mode and frozen.

        Args:
            encoder: a CLIPVisionModel.
            processor: a CLIPImageProcessorPil, or another of its kind.
        """
        self._encoder = encoder.eval().requires_grad_(False)
        self._processor = processor
        self.dim: int = encoder.config.hidden_size
        self.length: int = 1 + (encoder.config.image_size // encoder.config.patch_size) ** 2

    @classmethod
    def load(cls, folder: Path, processor: Path | None = None, dtype: torch.dtype | None = None) -> Self:
        """From the image_encoder/ of a diffusers folder.

        Args:
            folder: config.json and weights.
            processor: its folder; when None, the image_processor/ beside ``folder``.
            dtype: of the weights; as stored when None.

        Raises:
            ModelInputError: not there, not a CLIP vision model, incomplete, or without a processor.
        """
        encoder = load_frozen(CLIPVisionModel, folder, "clip_vision_model", dtype=dtype or "auto")
        return cls(encoder, _load_processor(processor or _processor_folder(folder)))

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` reads, and image_processor/ beside it."""
        self._encoder.save_pretrained(folder)
        self._processor.save_pretrained(_processor_folder(folder))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the configurations of network and processor, and of the weights, as they were when it was first asked for."""
        settings = {**self._encoder.config.to_diff_dict(), "processor": self._processor.to_dict()}
        return network_fingerprint(self, settings, self._encoder.state_dict())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""
        self._encoder.to(device=device, dtype=dtype or self._encoder.dtype)
        return self

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), RGB in -1..1, as (B, length, dim).

        Raises:
            ModelInputError: not of that shape.
        """
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ModelInputError(f"pictures must be of shape (batch, 3, height, width), not {tuple(pictures.shape)}; give RGB pictures")
        bytes_ = ((pictures.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        pixels = self._processor(images=list(bytes_), input_data_format="channels_last", return_tensors="pt").pixel_values
        states = self._encoder(pixels.to(self._encoder.device, self._encoder.dtype), output_hidden_states=True).hidden_states
        tokens: Tensor = states[-2]
        return tokens


def _processor_folder(folder: Path) -> Path:
    return folder.parent / "image_processor"


def _load_processor(folder: Path) -> Any:
    if not folder.is_dir():
        raise ModelInputError(f"there is no image processor in {folder}; put the image_processor/ of the same checkpoint beside its image_encoder/")
    try:
        return CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelInputError(f"the image processor in {folder} cannot be loaded; check that it has a preprocessor_config.json") from error
