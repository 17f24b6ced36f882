"""The graph against the same layers written out in numpy, on drawn weights stored the way the npm package stores its own."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.failures import InputError
from pipeline.perception.faceapi_network import CLASSES, SIDE, Weights, build_network, read_weights
from schemas.vocabulary import FailureKind

CHANNELS = (4, 5, 6, 7)
Array = NDArray[np.float64]


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    inputs = 3
    for block, channels in enumerate(CHANNELS):
        for number in range(4):
            name = f"dense{block}/conv{number}"
            if block == number == 0:
                found[f"{name}/filters"] = (3, 3, inputs, channels)
            else:
                found[f"{name}/depthwise_filter"] = (3, 3, inputs, 1)
                found[f"{name}/pointwise_filter"] = (1, 1, inputs, channels)
            found[f"{name}/bias"] = (channels,)
            inputs = channels
    return found | {"fc/weights": (inputs, len(CLASSES)), "fc/bias": (len(CLASSES),)}


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, Path, Weights]:
    """Binary, manifest, and the weights they stand for: 8-bit numbers, and one tensor of plain floats."""
    random = np.random.default_rng(3)
    data, entries, weights = b"", [], {}
    for name, shape in shapes().items():
        entry: dict[str, object] = {"name": name, "shape": shape, "dtype": "float32"}
        if name == "fc/bias":
            values = random.normal(size=shape).astype(np.float32)
            data += values.astype("<f4").tobytes()
            weights[name] = values
        else:
            numbers = random.integers(0, 256, shape, dtype=np.uint8)
            entry["quantization"] = {"dtype": "uint8", "scale": 0.004, "min": -0.45}
            data += numbers.tobytes()
            weights[name] = (numbers * np.float32(0.004) - np.float32(0.45)).astype(np.float32)
        entries.append(entry)
    binary, manifest = tmp_path / "weights.bin", tmp_path / "manifest.json"
    binary.write_bytes(data)
    manifest.write_text(json.dumps([{"weights": entries, "paths": [binary.name]}]))
    return binary, manifest, weights


def padded(picture: Array, stride: int) -> Array:
    """TensorFlow's "same": as much as the last window needs, the odd pixel at the end."""
    size = picture.shape[0]
    total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    return np.pad(picture, ((total // 2, total - total // 2),) * 2 + ((0, 0),))


def convolved(picture: Array, filters: Array, stride: int) -> Array:
    windows = sliding_window_view(padded(picture, stride), (3, 3), (0, 1))[::stride, ::stride]
    return np.asarray(np.einsum("yxcij,ijco->yxo", windows, filters), np.float64)


def separably(picture: Array, weights: Weights, name: str, stride: int) -> Array:
    windows = sliding_window_view(padded(picture, stride), (3, 3), (0, 1))[::stride, ::stride]
    each = np.einsum("yxcij,ijc->yxc", windows, weights[f"{name}/depthwise_filter"][..., 0])
    return np.asarray(each @ weights[f"{name}/pointwise_filter"][0, 0] + weights[f"{name}/bias"], np.float64)


def expected(picture: Array, weights: Weights) -> Array:
    for block in range(len(CHANNELS)):
        name = f"dense{block}"
        if block == 0:
            first = convolved(picture, weights[f"{name}/conv0/filters"].astype(np.float64), 2) + weights[f"{name}/conv0/bias"]
        else:
            first = separably(picture, weights, f"{name}/conv0", 2)
        first = np.maximum(first, 0)
        second = separably(first, weights, f"{name}/conv1", 1)
        third = separably(np.maximum(first + second, 0), weights, f"{name}/conv2", 1)
        fourth = separably(np.maximum(first + second + third, 0), weights, f"{name}/conv3", 1)
        picture = np.maximum(first + second + third + fourth, 0)
    assert picture.shape[0] == 7
    return np.asarray(picture.mean(axis=(0, 1)) @ weights["fc/weights"] + weights["fc/bias"])


def test_weights_are_dequantized(stored: tuple[Path, Path, Weights]) -> None:
    binary, manifest, weights = stored
    read = read_weights(binary, manifest)
    assert list(read) == list(weights)
    for name, values in weights.items():
        np.testing.assert_allclose(read[name], values, atol=1e-6)


def test_the_graph_computes_the_layers(stored: tuple[Path, Path, Weights]) -> None:
    binary, manifest, weights = stored
    session = onnxruntime.InferenceSession(build_network(read_weights(binary, manifest)).SerializeToString(), providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(4).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)
    scores = session.run(None, {"image": pictures})[0]
    for picture, score in zip(pictures, scores, strict=True):
        truth = expected(picture.transpose(1, 2, 0).astype(np.float64), weights)
        assert np.ptp(truth) > 0.1
        np.testing.assert_allclose(score, truth, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("change", [lambda data: data[:-3], lambda data: data + b"\0"])
def test_a_binary_of_another_size_is_refused(stored: tuple[Path, Path, Weights], change: object) -> None:
    binary, manifest, _ = stored
    assert callable(change)
    binary.write_bytes(change(binary.read_bytes()))
    with pytest.raises(InputError, match="fetch both files again") as caught:
        read_weights(binary, manifest)
    assert caught.value.kind is FailureKind.DAMAGED
