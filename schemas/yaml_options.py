"""Options from a YAML file, as the command-line arguments they stand for: one parser checks both, and the command line wins.

out: s3://bucket/out
videos: [s3://bucket/films]
observe:
  samples_per_second: 4
engine:
  workers: 32
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import fsspec
import yaml

CONFIG = "--config"


class OptionsError(ValueError):
    """What was asked for cannot be; the message says what to change."""


def with_yaml(command: type[Any], arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, preceded by those that the file named by ``--config`` stands for.

    Args:
        command: the command's dataclass.
        arguments: as typed, without the command's name.

    Raises:
        OptionsError: the file cannot be read, is no mapping, or has a key that the command does not have; the nearest known one is named.
    """
    uri = value_of(arguments, CONFIG)
    if uri is None:
        return list(arguments)
    try:
        with fsspec.open(uri, "rb") as file:
            content = yaml.safe_load(file)
    except yaml.YAMLError as error:
        raise OptionsError(f"{uri} is not YAML: {error}") from error
    except FileNotFoundError as error:
        raise OptionsError(f"{CONFIG}: {uri}: there is no such file; check the path or URL") from error
    except Exception as error:  # every file system has its own errors
        raise OptionsError(f"{CONFIG}: {uri} cannot be read ({error}); check the path or URL, and that the package for its kind of URL is installed") from error
    if not isinstance(content, Mapping):
        raise OptionsError(f"{uri} must hold names of options and their values, for example `out: OUT`")
    return [*_arguments(command, content, "", uri), *arguments]


def value_of(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option that decides how the others are read, such as ``--config``; the last one when there are several."""
    for position in reversed(range(len(arguments))):
        word = arguments[position]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def _arguments(options: type[Any], content: Mapping[str, Any], prefix: str, uri: str) -> Iterator[str]:
    hints = get_type_hints(options)
    names = [field.name for field in fields(options) if field.name != CONFIG.lstrip("-")]
    for key, value in content.items():
        if (name := str(key).replace("-", "_")) not in names:
            nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
            raise OptionsError(f"{uri}: there is no option {prefix}{key}; did you mean {prefix}{nearest[0]}? The options here are {', '.join(names)}")
        flag = f"--{(prefix + name).replace('_', '-')}"
        if is_dataclass(hints[name]) and isinstance(hints[name], type):
            if not isinstance(value, Mapping):
                raise OptionsError(f"{uri}: {prefix}{key} is a group of options, not the value {value!r}")
            yield from _arguments(hints[name], value, f"{prefix}{name}.", uri)
        elif isinstance(value, bool):
            yield flag if value else f"--{prefix.replace('_', '-')}no-{name.replace('_', '-')}"
        elif isinstance(value, list):
            yield from (flag, *map(str, value))
        elif isinstance(value, Mapping):
            raise OptionsError(f"{uri}: {prefix}{key} is one option, not a group")
        else:
            yield from (flag, str(value))
