"""What decides, beside the options, what models answer: the content of their weights, wherever these lie."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from jobs.inputs import VIDEO_SUFFIXES
from pipeline.assets import ASSETS
from pipeline.perception.deepface import WEIGHTS as DEEPFACE_WEIGHTS
from pipeline.perception.expression_calibration import SHIPPED
from pipeline.perception.models import PerceptionOptions

CALIBRATION = SHIPPED
"""The calibration of expressions that comes with this release."""


def weight_hashes(options: PerceptionOptions) -> dict[str, str]:
    """What identifies the content of each file of weights, by its name; a folder that is not there has none, the models will say so."""
    hashes = {name: asset.sha256 for name, asset in ASSETS.items() if asset.suffix not in VIDEO_SUFFIXES}
    if options.expression == "embedded":
        hashes["expression_calibration"] = calibration_hash()
    elif options.deepface_weights is not None:
        folder = Path(options.deepface_weights).expanduser() / ".deepface" / "weights"
        hashes |= _contents("deepface", folder.glob(f"{DEEPFACE_WEIGHTS}.*"))
    if options.insightface_weights is not None and "insightface" in (options.faces, options.identity, options.head_pose):
        hashes |= _contents("insightface", Path(options.insightface_weights).expanduser().glob("*.onnx"))
    return hashes


def calibration_hash() -> str:
    """SHA-256 of the calibration of expressions."""
    return hashlib.sha256(CALIBRATION.read_bytes()).hexdigest()


def _contents(backend: str, files: Iterable[Path]) -> dict[str, str]:
    """Size and SHA-256 of each file, read once: some hundred megabytes take a second."""
    return {f"{backend}/{path.name}": f"{path.stat().st_size} {_sha256(path)}" for path in sorted(files) if path.is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
