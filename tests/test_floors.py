"""The floors of the building: which folder may import which, and which libraries stay out of the ground floor."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: dict[str, set[str]] = {
    "schemas": {"schemas"},
    "pipeline": {"pipeline", "schemas"},
    "model": {"model", "schemas"},
    "training": {"training", "model", "schemas"},
    "jobs": {"jobs", "pipeline", "model", "schemas"},
}
"""Folder to the project folders its files may import."""

RAY = {"ray"}
HEAVY = {"torch", "ray", "cv2", "av", "mediapipe", "onnxruntime"}
"""What schemas/ must not need: it is read by people who have none of it."""

NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc"}


def imports(source: str) -> set[str]:
    """Top-level names of every absolute import in a source text, also of those inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def violations(floor: str, source: str) -> set[str]:
    """What a file on a floor imports and must not."""
    found = imports(source)
    wrong = (found & set(FLOORS)) - FLOORS[floor]
    if floor != "jobs":
        wrong |= found & RAY
    if floor == "schemas":
        wrong |= found & HEAVY
    return wrong


def files() -> list[Path]:
    return [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def test_there_are_files_on_every_built_floor() -> None:
    assert {"schemas", "pipeline", "jobs"} <= {path.relative_to(ROOT).parts[0] for path in files()}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_floor_reaches_up(path: Path) -> None:
    assert violations(path.relative_to(ROOT).parts[0], path.read_text()) == set()


@pytest.mark.parametrize(
    ("floor", "source", "wrong"),
    [
        ("schemas", "import ray", {"ray"}),
        ("schemas", "from pipeline.video import index", {"pipeline"}),
        ("pipeline", "def f():\n    import jobs.engine", {"jobs"}),
        ("pipeline", "from ray import data", {"ray"}),
        ("training", "import pipeline", {"pipeline"}),
        ("jobs", "import ray, pipeline, schemas", set()),
    ],
)
def test_the_walk_sees_what_it_is_there_to_see(floor: str, source: str, wrong: set[str]) -> None:
    assert violations(floor, source) == wrong


def test_every_file_has_a_name() -> None:
    assert [path for path in files() if path.stem in NAMELESS or path.parent.name in NAMELESS] == []


def test_every_source_file_has_a_test_file_at_the_mirrored_place() -> None:
    tests = {str(path.relative_to(ROOT / "tests").parent / path.stem) for path in (ROOT / "tests").rglob("test_*.py")}
    tests.add("jobs/test_run")  # what chains everything is tested through the real command line, in tests/end_to_end
    long = [path for path in files() if path.name not in {"__init__.py", "__main__.py", "protocols.py"} and path.read_text().count("\n") > 30]
    missing = [str(path.relative_to(ROOT)) for path in long if str(path.relative_to(ROOT).parent / f"test_{path.stem}") not in tests]
    assert missing == []
