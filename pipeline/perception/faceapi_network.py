"""face-api's expression network, built as an ONNX graph from the weight files that its npm package ships.

The package (@vladmandic/face-api, MIT) holds weights for TensorFlow.js: one binary of 8-bit numbers and a manifest with each
tensor's shape, scale and minimum. The graph is written down here; onnxruntime runs it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.failures import InputError
from schemas.vocabulary import FailureKind

SIDE = 112
"""Pixels of the square input."""
MEAN = np.array([122.782, 117.001, 104.298], np.float32)
"""Mean RGB that face-api subtracts before it divides by 255."""
CLASSES = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
"""The network's outputs, in order."""
BLOCKS = 4

Weights = dict[str, NDArray[np.float32]]


def read_weights(binary: Path, manifest: Path) -> Weights:
    """Name to float32 tensor, dequantized.

    Args:
        binary: the tensors' bytes, one after the other.
        manifest: JSON, TensorFlow.js weights manifest: name, shape, and for quantized tensors dtype, scale and min.

    Raises:
        InputError: the binary's size is not what the manifest says.
    """
    data, at, weights = binary.read_bytes(), 0, {}
    for weight in (weight for group in json.loads(manifest.read_text()) for weight in group["weights"]):
        quantization = weight.get("quantization", {"dtype": weight["dtype"], "scale": 1.0, "min": 0.0})
        kind = np.dtype(quantization["dtype"]).newbyteorder("<")
        count = int(np.prod(weight["shape"]))
        if at + count * kind.itemsize > len(data):
            raise InputError(FailureKind.DAMAGED, f"{binary} ends before the tensor {weight['name']} of {manifest}; fetch both files again")
        numbers = np.frombuffer(data, kind, count, at).astype(np.float32)
        weights[weight["name"]] = (numbers * np.float32(quantization["scale"]) + np.float32(quantization["min"])).reshape(weight["shape"])
        at += count * kind.itemsize
    if at != len(data):
        raise InputError(FailureKind.DAMAGED, f"{binary} has {len(data)} bytes, {manifest} describes {at}; fetch both files again")
    return weights


def build_network(weights: Weights) -> onnx.ModelProto:
    """The network as ONNX: ``image`` (N, 3, 112, 112) float32, (RGB - MEAN) / 255, to ``scores`` (N, 7) before the softmax.

    Four dense blocks of four 3x3 convolutions each (the very first an ordinary one, the others separable by depth), padded as
    TensorFlow's "same"; then the mean over all positions and one linear layer. Source: face-api.js, FaceFeatureExtractor and
    FaceExpressionNet.
    """
    graph = _Graph(weights)
    flow = "image"
    for number in range(BLOCKS):
        flow = graph.dense_block(flow, f"dense{number}", separable=number > 0)
    flow = graph.add("Flatten", [graph.add("GlobalAveragePool", [flow])])
    graph.add("Gemm", [flow, graph.constant("fc/weights"), graph.constant("fc/bias")], output="scores")
    return graph.model()


class _Graph:
    """An ONNX graph in the making; every method adds nodes and returns the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, axes: tuple[int, ...] | None = None) -> str:
        weight = self._weights[name]
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(weight if axes is None else weight.transpose(axes)), name)
        return name

    def convolution(self, flow: str, name: str, stride: int) -> str:
        inputs = [flow, self.constant(f"{name}/filters", (3, 2, 0, 1)), self.constant(f"{name}/bias")]
        return self.add("Conv", inputs, auto_pad="SAME_UPPER", strides=[stride, stride])

    def separable_convolution(self, flow: str, name: str, stride: int) -> str:
        depthwise = self.constant(f"{name}/depthwise_filter", (2, 3, 0, 1))
        channels = self._weights[depthwise].shape[2]
        flow = self.add("Conv", [flow, depthwise], auto_pad="SAME_UPPER", strides=[stride, stride], group=channels)
        return self.add("Conv", [flow, self.constant(f"{name}/pointwise_filter", (3, 2, 0, 1)), self.constant(f"{name}/bias")])

    def dense_block(self, flow: str, name: str, separable: bool) -> str:
        first = self.separable_convolution if separable else self.convolution
        total = flow = self.add("Relu", [first(flow, f"{name}/conv0", 2)])
        for number in (1, 2, 3):
            total = self.add("Add", [total, self.separable_convolution(flow, f"{name}/conv{number}", 1)])
            flow = self.add("Relu", [total])
        return flow

    def model(self) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(CLASSES)])
        graph = helper.make_graph(self._nodes, "faceapi_expression", [image], [scores], list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        return model
