"""Folders of tiny random Wan pipelines, written by diffusers itself as the public ones are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel, PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

DIM, TEXT_DIM, IMAGE_DIM, SHIFT = 32, 24, 32, 3.0

TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": TEXT_DIM,
    "freq_dim": 32,
    "ffn_dim": 64,
    "num_layers": 2,
}
LOOKING: dict[str, Any] = {"in_channels": 36, "image_dim": IMAGE_DIM, "added_kv_proj_dim": DIM}
"""What the image-to-video layout of Wan 2.1 has beside."""

VAE: dict[str, Any] = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1, "z_dim": 16}
VAE_2_2: dict[str, Any] = {
    **VAE,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.02 * i - 0.5 for i in range(48)],
    "latents_std": [0.2 + 0.01 * i for i in range(48)],
}

SENTENCES = ["a woman laughs at the window", "an old man walks through the rain, crying", "the camera turns to her left side"]


def drawn(build: Callable[[], Any], seed: int = 0) -> Any:
    """A network with the weights of a seed; nobody else's random numbers change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build().eval()


def stock(seed: int = 0, **changes: Any) -> Any:
    """A WanTransformer3DModel; its output layer is made larger, so that what the network sees is seen in its output."""
    model = drawn(lambda: WanTransformer3DModel(**{**TRANSFORMER, **changes}), seed)
    with torch.no_grad():
        model.proj_out.weight.mul_(4)
    return model


def vae(**changes: Any) -> Any:
    return drawn(lambda: AutoencoderKLWan(**{**VAE, **changes}))


def scheduler() -> Any:
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT)


def text_to_video(folder: Path, **transformer: Any) -> Path:
    WanPipeline(tokenizer(), umt5(), vae(), scheduler(), stock(**transformer)).save_pretrained(folder)
    return folder


def image_to_video(folder: Path) -> Path:
    WanImageToVideoPipeline(tokenizer(), umt5(), vae(), scheduler(), clip_processor(), clip(), stock(**LOOKING)).save_pretrained(folder)
    return folder


def in_diffusers(folder: Path) -> Any:
    """A transformer's folder as stock diffusers reads it, with nothing missing and nothing left over.

    To keep some weights in float32 among halves it asks for accelerate, which nothing else needs; here all are in float32.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WanTransformer3DModel, "_keep_in_fp32_modules", None)
        network, report = WanTransformer3DModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    for parameter in network.parameters():
        parameter.data = parameter.data.clone()  # where a matrix lies in memory shows in the last bits of what it gives
    return network


def umt5() -> Any:
    return drawn(lambda: UMT5EncoderModel(UMT5Config(vocab_size=100, d_model=TEXT_DIM, d_kv=8, d_ff=32, num_layers=1, num_heads=2)))


def clip() -> Any:
    """Five tokens of IMAGE_DIM per picture."""
    config = CLIPVisionConfig(hidden_size=IMAGE_DIM, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    return drawn(lambda: CLIPVisionModel(config))


def clip_processor() -> Any:
    return CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})


def tokenizer() -> Any:
    tokens = Tokenizer(models.Unigram())
    tokens.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    tokens.train_from_iterator(SENTENCES * 20, trainer)
    tokens.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Write the weights of a folder again, changed."""
    (file,) = folder.glob("*.safetensors")
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def change_config(path: Path, **settings: Any) -> None:
    """Change a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
