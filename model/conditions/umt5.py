"""UMT5, the text encoder of Wan."""

import html
import re
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import ftfy
import torch
from torch import Tensor
from transformers import AutoTokenizer, UMT5EncoderModel

from model.errors import ModelInputError
from model.network_fingerprint import network_fingerprint
from model.pretrained import load_frozen

LENGTH = 512
"""Tokens per prompt that Wan was trained with."""


class UMT5TextEncoder:
    """A frozen UMT5 encoder and its tokenizer: prompts as Wan's pipelines give them to the transformer.

    A prompt is cleaned, padded for the encoder, and what stands behind its own tokens is set to zero. Tokens are of the precision of the
    weights and lie on their device.
    """

    def __init__(self, encoder: Any, tokenizer: Any, length: int = LENGTH) -> None:
        """Take over an encoder: it is put into evaluation mode and frozen.

        Args:
            encoder: a UMT5EncoderModel.
            tokenizer: of transformers.
            length: tokens per prompt.
        """
        self._encoder = encoder.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self.dim: int = encoder.config.d_model
        self.length = length

    @classmethod
    def load(cls, folder: Path, tokenizer: Path | None = None, length: int = LENGTH, dtype: torch.dtype | None = None) -> Self:
        """From the text_encoder/ of a diffusers folder.

        Args:
            folder: config.json and weights.
            tokenizer: its folder; when None, the tokenizer/ beside ``folder``.
            length: tokens per prompt.
            dtype: of the weights; as stored when None.

        Raises:
            ModelInputError: not there, not a UMT5, incomplete, or without a tokenizer.
        """
        encoder = load_frozen(UMT5EncoderModel, folder, "umt5", dtype=dtype or "auto")
        return cls(encoder, _load_tokenizer(tokenizer or _tokenizer_folder(folder)), length)

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` reads, and tokenizer/ beside it."""
        self._encoder.save_pretrained(folder)
        self._tokenizer.save_pretrained(_tokenizer_folder(folder))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of configuration, vocabulary and weights, as they were when it was first asked for."""
        settings = {**self._encoder.config.to_diff_dict(), "length": self.length, "vocabulary": self._tokenizer.get_vocab()}
        return network_fingerprint(self, settings, self._encoder.state_dict())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""
        self._encoder.to(device=device, dtype=dtype or self._encoder.dtype)
        return self

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Tensor:
        """Prompts as (len(prompts), length, dim). One that is too long is cut, with a warning that says so."""
        if not prompts:
            return torch.zeros(0, self.length, self.dim, dtype=self._encoder.dtype, device=self._encoder.device)
        cleaned = [clean(prompt) for prompt in prompts]
        self._warn_of_cuts(cleaned)
        tokens = self._tokenizer(cleaned, padding="max_length", max_length=self.length, truncation=True, return_attention_mask=True, return_tensors="pt")
        mask = tokens.attention_mask.to(self._encoder.device)
        states = self._encoder(tokens.input_ids.to(self._encoder.device), mask).last_hidden_state
        return torch.where(mask.bool().unsqueeze(-1), states, torch.zeros_like(states))

    def _warn_of_cuts(self, cleaned: list[str]) -> None:
        for prompt, ids in zip(cleaned, self._tokenizer(cleaned, verbose=False).input_ids, strict=True):
            if len(ids) > self.length:
                warnings.warn(f"the prompt '{prompt[:40]}...' has {len(ids)} tokens and is cut at {self.length}; shorten it", stacklevel=4)


def clean(prompt: str) -> str:
    """A prompt as Wan was given it: broken Unicode mended, HTML's escapes resolved (they come doubled), runs of white space made one space."""
    mended = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    return re.sub(r"\s+", " ", mended).strip()


def _tokenizer_folder(folder: Path) -> Path:
    return folder.parent / "tokenizer"


def _load_tokenizer(folder: Path) -> Any:
    if not folder.is_dir():
        raise ModelInputError(f"there is no tokenizer in {folder}; put the tokenizer/ of the same checkpoint beside its text_encoder/")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelInputError(f"the tokenizer in {folder} cannot be loaded ({reason}); check that the folder is complete") from error
    if tokenizer.pad_token_id is None or tokenizer.padding_side != "right":
        raise ModelInputError(f"the tokenizer in {folder} does not pad at the right as UMT5's does; give the tokenizer/ of a Wan checkpoint")
    return tokenizer
