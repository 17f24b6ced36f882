"""A text encoder that is trained with the model, without a vocabulary file. For tests, demos and ablations."""

import re
import warnings
from pathlib import Path
from typing import Self
from zlib import crc32

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.component_config import read_settings, write_config
from model.errors import ModelInputError

WEIGHTS = "model.safetensors"


class WordEmbedding(nn.Module):
    """A vector per word and a vector per place in the prompt, added; both are trained.

    Words are put into buckets by a hash that is the same everywhere (CRC-32 of the lower-cased word), so any text can be read, and two
    words seldom share a vector when there are many more buckets than words. Behind the words stand zeros: an empty prompt is all zeros.
    """

    def __init__(self, dim: int = 64, length: int = 32, buckets: int = 4096, seed: int = 0) -> None:
        """Draw the weights.

        Args:
            dim: size of a token.
            length: tokens per prompt.
            buckets: vectors for words.
            seed: same seed, same weights.

        Raises:
            ModelInputError: a size below 1.
        """
        super().__init__()
        if min(dim, length, buckets) < 1:
            raise ModelInputError(f"a word embedding's sizes must be 1 or more, not dim {dim}, length {length}, buckets {buckets}")
        self.dim, self.length, self.buckets = dim, length, buckets
        generator = torch.Generator().manual_seed(seed)
        self.words = nn.Parameter(torch.randn(buckets, dim, generator=generator))
        self.places = nn.Parameter(torch.randn(length, dim, generator=generator) * 0.1)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From a folder written by ``save``.

        Raises:
            ModelInputError: not there, another text encoder's, or weights that do not fit.
        """
        settings = read_settings(folder, "WordEmbedding")
        try:
            embedding = cls(**{name: int(settings[name]) for name in ("dim", "length", "buckets")})
            embedding.load_state_dict(load_file(folder / WEIGHTS))
        except KeyError as error:
            raise ModelInputError(f"the config.json of {folder} lacks {error}; write the folder again") from error
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelInputError(f"{folder / WEIGHTS} is not there or does not fit the config.json beside it; write the folder again") from error
        return embedding

    def save(self, folder: Path) -> None:
        """Write config.json and the weights."""
        write_config(folder, "WordEmbedding", dim=self.dim, length=self.length, buckets=self.buckets)
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in self.state_dict().items()}, folder / WEIGHTS)

    @property
    def fingerprint(self) -> None:
        """None: it changes with every step of the training."""
        return None

    def encode(self, prompts: list[str]) -> Tensor:
        """Prompts as (len(prompts), length, dim), with gradients. One that is too long is cut, with a warning that says so."""
        tokens: Tensor = self(prompts)
        return tokens

    def forward(self, prompts: list[str]) -> Tensor:
        """As ``encode``."""
        buckets = torch.full((len(prompts), self.length), -1, device=self.words.device)
        for row, prompt in enumerate(prompts):
            words = split(prompt)
            if len(words) > self.length:
                warnings.warn(f"the prompt '{prompt[:40]}...' has {len(words)} words and is cut at {self.length}; shorten it", stacklevel=5)
            found = [bucket(word, self.buckets) for word in words[: self.length]]
            buckets[row, : len(found)] = torch.tensor(found, dtype=torch.long)
        tokens = self.words[buckets.clamp(min=0)] + self.places
        return tokens * (buckets >= 0).unsqueeze(-1).to(tokens.dtype)


def split(prompt: str) -> list[str]:
    """The words of a prompt, lower-cased, without punctuation."""
    return re.findall(r"\w+", prompt.lower())


def bucket(word: str, buckets: int) -> int:
    """The bucket of a lower-cased word."""
    return crc32(word.encode()) % buckets
