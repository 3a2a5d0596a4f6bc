"""Small ONNX graphs, each of a kind that exporters write, imported and held against ONNX Runtime.

python tests/support/onnx_graphs.py FOLDER

Writes `FOLDER`/answers.json: a graph's name to its largest difference, its largest logit, and what was said of it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from affectd_convert.conversion.float_model import parent_of, run
from affectd_convert.conversion.import_model import NOTES, import_model
from affectd_convert.conversion.import_wanted import Wanted
from affectd_convert.errors import ConversionError

PICTURE, SOUND = (1, 3, 15, 12), (1, 20, 6)
LABELS = 5
RNG = np.random.default_rng(0)


class Graph:
    """A chain of nodes from the input `x`; weights are drawn."""

    def __init__(self, shape):
        self.shape, self.nodes, self.weights, self.x = shape, [], [], "x"

    def add(self, kind, *inputs, of=None, outputs=1, **attributes):
        """Add a node on the last output, or on those named `of`; `inputs` are shapes of weights, or arrays."""
        names = [of or self.x] if not isinstance(of, list) else of
        for given in inputs:
            array = RNG.standard_normal(given).astype(np.float32) if isinstance(given, tuple) else given
            names = [*names, "" if array is None else f"w{len(self.weights)}"]
            if array is not None:
                self.weights.append(numpy_helper.from_array(array, names[-1]))
        made = [f"y{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, made, **attributes))
        self.x = made[0]
        return made if outputs > 1 else made[0]

    def flatten_to_labels(self, width):
        self.add("Flatten")
        self.add("Gemm", (width, LABELS), (LABELS,))
        return self

    def model(self):
        """Return the model; its batch has a name, as exporters write it."""
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", ["n", *self.shape[1:]]), (self.x, ["n", LABELS]))
        ]
        graph = helper.make_graph(self.nodes, "g", ends[:1], ends[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def numbers(*values):
    return np.array(values, np.int64)


def convolutions():
    g = Graph(PICTURE)
    g.add("Conv", (8, 3, 3, 3), (8,), pads=[1, 1, 1, 1], strides=[2, 2])
    g.add("LeakyRelu", alpha=0.1)
    g.add("Conv", (16, 1, 3, 3), group=8, pads=[1, 1, 1, 1])
    g.add("PRelu", (16, 1, 1))
    g.add("Conv", (8, 4, 3, 3), group=4, dilations=[2, 2], pads=[2, 2, 2, 2])
    g.add("InstanceNormalization", (8,), (8,))
    return g.flatten_to_labels(8 * 8 * 6)


def poolings():
    g = Graph(PICTURE)
    g.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    g.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 1, 0], count_include_pad=1)
    g.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    return g.flatten_to_labels(3 * 2 * 2)


def squeeze_and_excite():
    g = Graph(PICTURE)
    a = g.add("Conv", (8, 3, 1, 1))
    g.add("GlobalAveragePool")
    g.add("Conv", (8, 8, 1, 1))
    gate = g.add("HardSigmoid", alpha=1 / 6)
    g.add("Mul", of=[a, gate])
    g.add("HardSwish")
    g.add("Concat", of=[g.x, a], axis=1)
    g.add("ReduceMean", axes=[2, 3], keepdims=0)
    g.add("Gemm", (LABELS, 16), (LABELS,), transB=1)
    return g


def shuffled_channels():
    g = Graph(PICTURE)
    g.add("Conv", (8, 3, 3, 3))
    g.add("Reshape", numbers(0, 2, 4, 13, 10))
    g.add("Transpose", perm=[0, 2, 1, 3, 4])
    g.add("Reshape", numbers(0, 8, 13, -1))
    left, right = g.add("Split", numbers(5, 3), axis=1, outputs=2)
    g.add("Slice", numbers(-1), numbers(-99), numbers(1), numbers(-2), of=left)
    g.add("Add", of=[g.x, right])
    g.add("Pad", numbers(0, 0, 1, 2, 0, 0, 0, 1), mode="reflect")
    g.add("Resize", None, np.array([1, 1, 2, 2], np.float32), mode="linear")
    g.add("ReduceMax", axes=[-1], keepdims=1)
    return g.flatten_to_labels(3 * 28)


def sizes_that_are_computed():
    g = Graph(PICTURE)
    first = g.add("Conv", (4, 3, 3, 3))
    g.add("Shape")
    g.add("Gather", numbers(0))
    g.add("Concat", numbers(-1), axis=0)
    g.add("Reshape", of=[first, g.x])
    g.add("Gemm", (4 * 13 * 10, LABELS))
    return g


def recurrent(kind, gates, **attributes):
    def graph():
        g, both = Graph(SOUND), 2 if attributes.get("direction") == "bidirectional" else 1
        g.add("Transpose", perm=[1, 0, 2])
        g.add(
            kind, (both, gates * 4, 6), (both, gates * 4, 4), (both, gates * 8), hidden_size=4, outputs=2, **attributes
        )
        g.add("Transpose", of=g.x, perm=[2, 0, 1, 3])
        g.add("Reshape", numbers(0, 0, -1))
        g.add("Gather", np.array(-1, np.int64), axis=1)
        g.add("Gemm", (4 * both, LABELS), (LABELS,))
        return g

    return graph


def attention():
    g = Graph(SOUND)
    x = g.add("MatMul", (6, 8))
    g.add("Transpose", perm=[0, 2, 1])
    g.add("MatMul", of=[x, g.x])
    g.add("Softmax", axis=-1)
    g.add("MatMul", of=[g.x, x])
    g.add("LayerNormalization", (8,), (8,))
    y = g.add("Div", np.array(np.sqrt(2), np.float32))
    g.add("Erf")
    g.add("Mul", of=[g.x, y])
    g.add("ReduceMean", axes=[1], keepdims=0)
    g.add("Gemm", (8, LABELS))
    return g


def over_time():
    g = Graph((1, 6, 20))
    g.add("Conv", (8, 6, 5), (8,), pads=[2, 2])
    g.add("BatchNormalization", (8,), (8,), (8,), np.ones(8, np.float32))
    g.add("Clip", np.array(0, np.float32), np.array(6, np.float32))
    g.add("MaxPool", kernel_shape=[2], strides=[2])
    return g.flatten_to_labels(80)


GRAPHS = {
    "convolutions": convolutions,
    "poolings": poolings,
    "squeeze and excite": squeeze_and_excite,
    "shuffled channels": shuffled_channels,
    "sizes that are computed": sizes_that_are_computed,
    "LSTM": recurrent("LSTM", 4, direction="reverse"),
    "LSTM both ways": recurrent("LSTM", 4, direction="bidirectional"),
    "GRU": recurrent("GRU", 3, linear_before_reset=1),
    "GRU as ONNX has it": recurrent("GRU", 3, direction="bidirectional"),
    "attention": attention,
    "over time": over_time,
}


def main(folder):
    answers = {}
    for name, graph in GRAPHS.items():
        path, out, made = folder / f"{name}.onnx", folder / name, graph()
        out.mkdir()
        path.write_bytes(made.model().SerializeToString())
        shape = made.shape[1:]
        box = (*shape[1:], shape[0]) if made.shape in (PICTURE, (1, 6, 20)) else shape
        try:
            import_model(path, out, Wanted(input=box, output="logits", order=tuple(reversed(range(LABELS)))))
        except ConversionError as error:
            answers[name] = (1.0, 0.0, str(error))
            continue
        samples = np.random.default_rng(1).standard_normal((3, *box)).astype(np.float32)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        turned = np.moveaxis(samples, -1, 1) if box != shape else samples
        expected = np.concatenate([session.run(None, {"x": x[np.newaxis]})[0][:, ::-1] for x in turned])
        notes = (out / NOTES).read_text() if (out / NOTES).exists() else ""
        answers[name] = (float(np.abs(run(parent_of(out), samples) - expected).max()), float(expected.max()), notes)
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
