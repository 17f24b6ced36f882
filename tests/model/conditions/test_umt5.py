"""UMT5 with its tokenizer, against the function of diffusers' own pipeline; the networks are tiny and random, the tokenizer is trained here."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from model.conditions.protocols import TextEncoder
from model.conditions.umt5 import UMT5TextEncoder, clean
from model.errors import ModelInputError

SENTENCES = ["a woman laughs at the window", "an old man walks through the rain, crying", "the camera turns to her left side", "Ein Mädchen lächelt"]
PROMPTS = ["a  man\tlaughs ", "", "the woman &amp;amp; the rain\n\nat the “window”", "l'Ã©tÃ©"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder's text_encoder/ and tokenizer/."""
    root = tmp_path_factory.mktemp("pipeline")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>").save_pretrained(root / "tokenizer")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UMT5EncoderModel(UMT5Config(vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4))
    model.save_pretrained(root / "text_encoder")
    return root


@pytest.fixture(scope="module")
def encoder(root: Path) -> UMT5TextEncoder:
    return UMT5TextEncoder.load(root / "text_encoder")


def of_diffusers(encoder: UMT5TextEncoder, prompts: list[str], length: int) -> torch.Tensor:
    parts: dict[str, Any] = {"text_encoder": encoder._encoder, "tokenizer": encoder._tokenizer, "vae": None, "scheduler": None}
    with torch.no_grad():
        return WanPipeline(**parts)._get_t5_prompt_embeds(prompts, max_sequence_length=length)


@pytest.mark.parametrize("length", [512, 32])
def test_tokens_are_those_of_diffusers_own_pipeline(root: Path, length: int) -> None:
    encoder: TextEncoder = UMT5TextEncoder.load(root / "text_encoder", length=length)
    tokens = encoder.encode(PROMPTS)
    assert tokens.shape == (4, length, 32)
    assert tokens.dtype == torch.float32
    assert not tokens.requires_grad
    assert isinstance(encoder, UMT5TextEncoder)
    assert torch.equal(tokens, of_diffusers(encoder, PROMPTS, length))


def test_behind_a_prompt_stand_zeros(encoder: UMT5TextEncoder) -> None:
    tokens = encoder.encode(["a man laughs", ""])
    taken = (tokens != 0).any(dim=2).sum(dim=1)
    assert taken[1] == 1  # the end-of-sentence token
    assert 3 <= taken[0] <= 13
    assert torch.equal((tokens[0] != 0).any(dim=1).nonzero().flatten(), torch.arange(int(taken[0])))


def test_a_prompt_that_is_cut_gives_a_warning(encoder: UMT5TextEncoder) -> None:
    long = "the woman laughs " * 300
    with pytest.warns(UserWarning, match=r"'the woman laughs .*\.\.\.' has \d{3,} tokens and is cut at 512; shorten it"):
        tokens = encoder.encode(["rain", long])
    torch.testing.assert_close(tokens, of_diffusers(encoder, ["rain", long], 512), rtol=0, atol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode(["rain"])


@pytest.mark.parametrize(
    ("prompt", "cleaned"),
    [("  two\n\twords ", "two words"), ("a &amp;amp; b &lt; c", "a & b < c"), ("schÃ¶n", "schön"), ("&amp;nbsp;x&nbsp;y", "x y"), ("", "")],
)
def test_cleaning(prompt: str, cleaned: str) -> None:
    assert clean(prompt) == cleaned


def test_no_prompts_give_no_rows(encoder: UMT5TextEncoder) -> None:
    assert encoder.encode([]).shape == (0, 512, 32)


def test_saved_loads_again_and_moves(encoder: UMT5TextEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "text_encoder")
    again = UMT5TextEncoder.load(tmp_path / "text_encoder")
    assert torch.equal(again.encode(PROMPTS), encoder.encode(PROMPTS))
    assert again.to("cpu", torch.bfloat16).encode(PROMPTS).dtype == torch.bfloat16
    again.save(tmp_path / "text_encoder")
    assert UMT5TextEncoder.load(tmp_path / "text_encoder").encode(["rain"]).dtype == torch.bfloat16
    assert UMT5TextEncoder.load(tmp_path / "text_encoder", dtype=torch.float32).encode(["rain"]).dtype == torch.float32


def test_folders_that_cannot_be_read_are_told(root: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(root / "text_encoder", tmp_path / "bare" / "text_encoder"))
    empty = Path(shutil.copytree(root / "text_encoder", tmp_path / "empty" / "text_encoder"))
    (tmp_path / "empty" / "tokenizer").mkdir()
    lacking = Path(shutil.copytree(root, tmp_path / "lacking")) / "text_encoder"
    weights = lacking / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(weights).items() if "block.1" not in name}, weights, metadata={"format": "pt"})
    for folder, message in (
        (bare, "there is no tokenizer in .*tokenizer; put the tokenizer/ of the same checkpoint beside"),
        (empty, "the tokenizer in .* cannot be loaded"),
        (lacking, "lack what a umt5 of its config.json needs .*block.1"),
        (root / "tokenizer", "has no config.json"),
    ):
        with pytest.raises(ModelInputError, match=message):
            UMT5TextEncoder.load(folder)
