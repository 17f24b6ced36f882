"""Small ONNX networks with the inputs and outputs of the real ones, and behaviour a test can predict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
POINTS = np.array([[-10, -8], [10, -8], [0, 0], [-8, 10], [8, 10]], np.float32)
"""The five points that the detector gives, in pixels from the middle of the cell it found a face in."""
HALF = 24.0
"""Half the side of its boxes, in pixels."""


def _save(path: Path, nodes: list[onnx.NodeProto], shape: Sequence[int | str], outputs: Sequence[str], weights: dict[str, NDArray[np.generic]]) -> None:
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
    results = [helper.make_empty_tensor_value_info(name) for name in outputs]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "network", inputs, results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)


def red_detector(path: Path) -> None:
    """A detector with SCRFD's nine outputs that takes red for a face.

    The score of a cell is the hyperbolic tangent of its red, as far as it exceeds the mean of green and blue; only stride 8 ever scores, the first of the
    two anchors of a cell more than the second. Boxes and points are constant around the cell's corner.
    """
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, NDArray[np.generic]] = {}
    kinds = ("score", "box", "points")
    for stride in STRIDES:
        kernel = np.zeros((2, 3, stride, stride), np.float32)
        if stride == 8:
            kernel[0] = np.array([1, -0.5, -0.5], np.float32)[:, None, None] / stride**2
            kernel[1] = kernel[0] * 0.5
        weights[f"kernel{stride}"] = kernel
        nodes += [
            helper.make_node("Conv", ["input", f"kernel{stride}"], [f"red{stride}"], strides=[stride, stride]),
            helper.make_node("Relu", [f"red{stride}"], [f"relu{stride}"]),
            helper.make_node("Transpose", [f"relu{stride}"], [f"last{stride}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"last{stride}", "column"], [f"raw{stride}"]),
            helper.make_node("Tanh", [f"raw{stride}"], [f"score{stride}"]),
            helper.make_node("Mul", [f"raw{stride}", "zero"], [f"none{stride}"]),
            helper.make_node("Add", [f"none{stride}", f"distances{stride}"], [f"box{stride}"]),
            helper.make_node("Add", [f"none{stride}", f"offsets{stride}"], [f"points{stride}"]),
        ]
        weights[f"distances{stride}"] = np.full((1, 4), HALF / stride, np.float32)
        weights[f"offsets{stride}"] = (POINTS / stride).reshape(1, 10)
    weights |= {"column": np.array([-1, 1]), "zero": np.zeros(1, np.float32)}
    _save(path, nodes, (1, 3, "height", "width"), [f"{kind}{stride}" for kind in kinds for stride in STRIDES], weights)


def colour_embedder(path: Path) -> None:
    """An embedder whose vector is the mean red, green and blue of the 112 x 112 picture, in -1..1."""
    nodes = [helper.make_node("GlobalAveragePool", ["input"], ["mean"]), helper.make_node("Flatten", ["mean"], ["embedding"])]
    _save(path, nodes, (1, 3, 112, 112), ["embedding"], {})


def constant_landmarks(path: Path, points: NDArray[np.float32]) -> None:
    """A 3D landmark model that sees the same 68 points (in -1..1 of its picture) everywhere."""
    values = np.zeros((1, 3309), np.float32)
    values[0, -68 * 3 :] = points.reshape(-1)
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("ReduceMean", ["mean"], ["grey"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["grey", "zero"], ["none"]),
        helper.make_node("Add", ["none", "values"], ["landmarks"]),
    ]
    _save(path, nodes, (1, 3, 192, 192), ["landmarks"], {"zero": np.zeros(1, np.float32), "values": values})


def emotion_network(path: Path, favourite: int, seed: int = 0) -> None:
    """deepface's emotion network with random weights and a last layer that favours one of its seven classes."""
    random = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.generic]] = {}
    nodes = [helper.make_node("Transpose", ["input"], ["x0"], perm=[0, 3, 1, 2])]

    def add(kind: str, names: list[str] | None = None, **attributes: Any) -> None:
        count = len(nodes)
        nodes.append(helper.make_node(kind, [f"x{count - 1}", *(names or [])], [f"x{count}"], **attributes))

    def convolution(incoming: int, outgoing: int, side: int) -> None:
        name = f"kernel{len(nodes)}"
        weights[name] = random.normal(0, (2 / (incoming * side**2)) ** 0.5, (outgoing, incoming, side, side)).astype(np.float32)
        add("Conv", [name])
        add("Relu")

    def dense(incoming: int, outgoing: int) -> None:
        name = f"matrix{len(nodes)}"
        weights[name] = random.normal(0, (2 / incoming) ** 0.5, (incoming, outgoing)).astype(np.float32)
        weights[f"{name}_bias"] = np.zeros(outgoing, np.float32)
        add("Gemm", [name, f"{name}_bias"])

    convolution(1, 64, 5)
    add("MaxPool", kernel_shape=[5, 5], strides=[2, 2])
    for incoming, outgoing in ((64, 64), (64, 128)):
        convolution(incoming, outgoing, 3)
        convolution(outgoing, outgoing, 3)
        add("AveragePool", kernel_shape=[3, 3], strides=[2, 2])
    add("Flatten")
    dense(128, 1024)
    add("Relu")
    dense(1024, 1024)
    add("Relu")
    dense(1024, 7)
    bias = next(name for name in reversed(weights) if name.endswith("_bias"))
    weights[bias] = np.eye(7, dtype=np.float32)[favourite] * 5
    add("Softmax", axis=1)
    _save(path, nodes, ("images", 48, 48, 1), [f"x{len(nodes) - 1}"], weights)
