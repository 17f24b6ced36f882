"""Networks of diffusers and transformers out of local folders, complete and frozen.

Their own loaders fill weights that a file lacks with random numbers and only log it. A network around ours that is random in part spoils
everything after it and no error ever says so; here it is an error.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from model.component_config import class_of, read_config
from model.errors import ModelInputError


def load_frozen(model_class: Any, folder: Path, kind: str, optional: Collection[str] = (), **options: Any) -> Any:
    """A network in evaluation mode whose weights want no gradients.

    Args:
        model_class: with from_pretrained, of diffusers or transformers.
        folder: config.json and weights.
        kind: what config.json must call it: _class_name of diffusers, model_type of transformers.
        optional: weights that may be missing, because they are for training only.
        options: for from_pretrained.

    Raises:
        ModelInputError: not there, of another kind, or weights that are missing or do not fit.
    """
    if (found := class_of(read_config(folder))) != kind:
        raise ModelInputError(f"{folder} holds a {found or 'network without a name'}, not a {kind}; give the folder of a {kind}")
    try:
        model, report = model_class.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelInputError(
            f"the weights in {folder} cannot be loaded into a {kind} ({reason}); check that the folder is complete and of one piece"
        ) from error
    missing = sorted(set(report["missing_keys"]) - set(optional))
    if missing or report["mismatched_keys"]:
        names = ", ".join([*missing, *(str(key) for key in report["mismatched_keys"])][:3])
        raise ModelInputError(f"the weights in {folder} lack what a {kind} of its config.json needs ({names}, ...); check that the folder is complete")
    return model.eval().requires_grad_(False)
