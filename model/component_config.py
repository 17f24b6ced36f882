"""The config.json of the parts that are our own: the name of the class that reads the folder, then its settings, as diffusers writes them."""

import json
from pathlib import Path
from typing import Any

from model.errors import ModelInputError

NAME = "config.json"


def write_config(folder: Path, class_name: str, **settings: Any) -> None:
    """Make the folder and write its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(json.dumps({"_class_name": class_name, **settings}, indent=2, sort_keys=True) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """What a folder's config.json says, ours or that of diffusers or transformers.

    Raises:
        ModelInputError: no such folder, no config.json in it, or no JSON object in that.
    """
    path = folder / NAME
    if not path.is_file():
        raise ModelInputError(f"{folder} has no {NAME}; give a folder written by save or save_pretrained")
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ModelInputError(f"{path} is not JSON ({error}); write the folder again") from error
    if not isinstance(config, dict):
        raise ModelInputError(f"{path} holds no settings; write the folder again")
    return config


def class_of(config: dict[str, Any]) -> str | None:
    """Whose config it is: the class of a part that is ours or diffusers', the model_type of one of transformers'; None when it does not say."""
    name = config.get("_class_name", config.get("model_type"))
    return name if isinstance(name, str) else None


def read_settings(folder: Path, class_name: str) -> dict[str, Any]:
    """The settings of one of our own parts.

    Raises:
        ModelInputError: as read_config, or the folder is another class's.
    """
    config = read_config(folder)
    if (found := class_of(config)) != class_name:
        raise ModelInputError(f"{folder} holds a {found or 'part without a name'}, not a {class_name}; give the folder of a {class_name}")
    return {key: value for key, value in config.items() if not key.startswith("_")}
