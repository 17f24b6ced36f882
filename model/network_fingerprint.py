"""Which network it is, in a few characters: what it made can be kept, and used wherever the same network would make it again."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor, uint8

WRITTEN_BY = {"transformers_version", "torch_dtype", "dtype", "architectures"}
"""Of a configuration, what tells of the file and not of the network; keys that begin with _ do so too."""


def network_fingerprint(network: object, config: Mapping[str, Any], weights: Mapping[str, Tensor] | None = None) -> str:
    """Hash of a network's class, configuration and weights.

    Args:
        network: whose class counts.
        config: settings, as JSON can hold them; who wrote them, and where they lay, does not count.
        weights: by name; every bit counts, and their types do.

    Returns:
        16 hexadecimal digits.
    """
    settings = {key: value for key, value in config.items() if key not in WRITTEN_BY and not key.startswith("_")}
    digest = hashlib.sha256(json.dumps([type(network).__name__, settings], sort_keys=True, default=list).encode())
    for name, tensor in sorted((weights or {}).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(uint8).numpy().data)
    return digest.hexdigest()[:16]
