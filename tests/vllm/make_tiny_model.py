"""Make a tiny multimodal model with random weights, without a network: enough for a real server to serve, not to judge by.

    .venv-vllm/bin/python tests/vllm/make_tiny_model.py FOLDER

A Qwen3-VL of 1.5 million parameters with its tokenizer, chat template and picture processor. What it says has the form that the server
enforces and depends on the pictures; it means nothing. The same every time it is made.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
PICTURE_START, PICTURE_END, PICTURE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
SPECIAL = [END, START, STOP, PICTURE_START, PICTURE_END, PICTURE, VIDEO]

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for part in m['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

ANSWERS = [
    '{"request_id":"0123456789abcdef","same_person":"yes","covered":"no","blurred":"no","blinking":"no","speaking":"no",',
    '"expression":"neutral","view":"front","certainty":5} happy sad angry surprise fear disgust contempt left right back unclear unsure',
    '{"action":"A woman turns to the window and smiles.","appearance":"She has dark hair.","scene":"A room by day.","camera":"static"}',
]
PROMPTS = Path(__file__).parents[2] / "pipeline" / "refine" / "prompts"
"""The tokenizer learns its words from the prompts and from such answers, so that neither takes many tokens."""

WIDTH, HEADS, PATCH = 128, 4, 16
SEED = 5
"""Of the weights: with this one, some anchors are accepted."""

LARGEST = 448 * 448
"""Pixels of a picture that the model looks at."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte pairs; every byte is a token too, so that any text can be read."""
    texts = [*ANSWERS * 40, *(file.read_text() for file in sorted(PROMPTS.glob("*.txt")))]
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learned.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=4096, special_tokens=SPECIAL, show_progress=False, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=learned, eos_token=STOP, pad_token=END, additional_special_tokens=SPECIAL[1:], model_max_length=8192)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """Random weights, large enough for what is seen to reach what is said."""
    number = {word: tokenizer.convert_tokens_to_ids(word) for word in SPECIAL}
    head = WIDTH // HEADS
    text = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "head_dim": head,
        "max_position_embeddings": 8192,
        "bos_token_id": number[END],
        "eos_token_id": number[STOP],
        "pad_token_id": number[END],
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5e6,
            "mrope_interleaved": True,
            "mrope_section": [head // 2 - 2 * (head // 6), head // 6, head // 6],
        },
    }
    vision = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_heads": HEADS,
        "patch_size": PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 256,
        "deepstack_visual_indexes": [0],
    }
    tokens = {
        "image_token_id": number[PICTURE],
        "video_token_id": number[VIDEO],
        "vision_start_token_id": number[PICTURE_START],
        "vision_end_token_id": number[PICTURE_END],
    }
    torch.manual_seed(SEED)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **tokens)).float()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "q_norm" in name:
                weight.mul_(4)
            elif weight.ndim > 1 and "embed_tokens" not in name:
                weight.mul_(10)
    model.generation_config.eos_token_id = number[STOP]
    model.generation_config.pad_token_id = number[END]
    return model


def processor(kind: dict[str, str]) -> str:
    """What is done to pictures (or videos) before the model sees them, as JSON."""
    shared = {
        "processor_class": "Qwen3VLProcessor",
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "do_rescale": True,
        "do_normalize": True,
        "do_resize": True,
        "do_convert_rgb": True,
        "rescale_factor": 1 / 255,
        "resample": 3,
        "size": {"shortest_edge": 4 * (2 * PATCH) ** 2, "longest_edge": LARGEST},
    }
    return json.dumps(kind | shared, indent=1)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    make_model(tokenizer).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(processor({"image_processor_type": "Qwen2VLImageProcessor"}))
    (folder / "video_preprocessor_config.json").write_text(processor({"video_processor_type": "Qwen3VLVideoProcessor"}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
