"""Networks of every layout with two little blocks, and what fits them, the same in every run.

Weights are drawn, so attention says little; ``sharpened`` makes it say more.
"""

from typing import Any

import torch
from torch import Tensor, nn

from model.positions import AnchorClass, AnchorPositions
from model.presets import preset
from model.transformer import AnchorWanTransformer3DModel
from schemas.vocabulary import AnchorKind, Expression, Viewpoint

BATCH, FRAMES, HEIGHT, WIDTH = 2, 3, 4, 6
FRAME_TOKENS = HEIGHT * WIDTH // 4
WINDOW, AUDIO_DIM, IMAGE_DIM, TEXT_DIM = 5, 8, 20, 16
HEADS, HEAD_DIM = 2, 24
DIM = HEADS * HEAD_DIM
SMALL = {"num_layers": 2, "num_attention_heads": HEADS, "attention_head_dim": HEAD_DIM, "ffn_dim": 64, "text_dim": TEXT_DIM, "freq_dim": 32}
HEARING = {"audio_dim": AUDIO_DIM, "audio_window": WINDOW, "audio_layers": (0, 1)}
LAYOUTS = ["tiny", "wan2_1_t2v_1_3b", "wan2_1_i2v_14b", "wan2_2_ti2v_5b"]
CLASSES = [AnchorClass(AnchorKind.GLOBAL), AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.LEFT), AnchorClass(AnchorKind.EXPRESSION, Expression.SAD)]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(name: str, **changes: Any) -> Any:
    """A preset's network with two little blocks, the same in every run, in which every parameter matters."""
    arguments = {**preset(name).transformer, **SMALL, **HEARING}
    if arguments["image_dim"] is not None:
        arguments |= {"image_dim": IMAGE_DIM, "added_kv_proj_dim": DIM}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AnchorWanTransformer3DModel(**{**arguments, **changes})
        for norm in (module for module in model.modules() if isinstance(module, nn.RMSNorm | nn.LayerNorm) and module.elementwise_affine):
            nn.init.normal_(norm.weight, 1.0, 0.2)
    return model


def sharpened(model: Any) -> Any:
    """With attention that prefers some tokens clearly to others, and whose choice matters."""
    with torch.no_grad():
        for block in model.blocks:
            block.attn1.norm_q.weight *= 3
            block.attn1.to_v.weight *= 3
            block.attn1.to_out[0].weight *= 3
    return model


def heard(model: Any) -> Any:
    """As if trained: with audio layers that do something."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for layer in model.audio_attention.values():
            layer.attention.to_out[0].reset_parameters()
    return model


def inputs(model: Any, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """What the stock model takes too."""
    config = model.config
    given: dict[str, Any] = {
        "hidden_states": drawn(BATCH, config.in_channels, FRAMES, HEIGHT, WIDTH, seed=1).to(dtype),
        "timestep": torch.tensor([900.0, 250.0]),
        "encoder_hidden_states": drawn(BATCH, 5 if config.image_dim is None else 512, TEXT_DIM, seed=2).to(dtype),
    }
    if config.image_dim is not None:
        given["encoder_hidden_states_image"] = drawn(BATCH, 7, IMAGE_DIM, seed=3).to(dtype)
    return given


def anchored(model: Any, count: int = 3, size: tuple[int, int] = (HEIGHT, WIDTH), dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Anchors and where they stand."""
    return {
        "anchors": drawn(BATCH, model.config.in_channels, count, *size, seed=4).to(dtype),
        "anchor_positions": torch.tensor([AnchorPositions().of(CLASSES[:count])] * BATCH, dtype=torch.float64).view(BATCH, count),
    }


def sounding(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    return {"audio": drawn(BATCH, FRAMES, WINDOW, AUDIO_DIM, seed=5).to(dtype)}


def frame_times() -> Tensor:
    return torch.tensor([[0.0, 700.0, 900.0], [0.0, 0.0, 250.0]])


@torch.no_grad()
def run_model(model: Any, **given: Any) -> Tensor:
    return model(**given).sample


def cached(model: Any, given: dict[str, Any], extra: dict[str, Any]) -> Any:
    texts = {name: value for name, value in given.items() if name.startswith("encoder_")}
    with torch.no_grad():
        return model.cache_anchors(**extra, **texts)
