"""An ONNX file as a TensorFlow function, operation by operation, held against ONNX Runtime before it is believed.

Needs the extra `affectd[onnx]`. The converters on the package index were tried on twelve small PyTorch networks:
onnx2keras 0.0.25 took four, and one of those answered wrongly; onnx2tf pins versions of NumPy and of TensorFlow
that do not go with tflite-runtime's; litert-torch writes only finished `.tflite` files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from affectd_convert.conversion.import_saved_model import as_model_takes, save_logits
from affectd_convert.conversion.import_wanted import NO_SOFTMAX, Layout, Wanted
from affectd_convert.conversion.onnx_operators import OPERATIONS
from affectd_convert.conversion.onnx_values import Node, Operand, Value
from affectd_convert.conversion.optional import needed
from affectd_convert.errors import ConversionError

TRIALS = 3
TOLERANCE = 1e-3
"""How far an output may be from ONNX Runtime's, as a share of the largest."""


def import_onnx(path: Path, out: Path, wanted: Wanted, *, name: Path | None = None) -> Layout:
    """Write the network as `out`/saved_model; return what becomes of its input.

    `name` stands in sentences for `path`. Raises ConversionError when it is no ONNX file, does not fit, holds an
    operation that affectd has no form of, or when the function's answers are not those of ONNX Runtime.
    """
    onnx, runtime, *_ = needed("onnx", "onnxruntime", "onnx.inliner", "onnx.reference")
    name = name or path
    model = _load(onnx, path, name)
    nodes, inputs, outputs = model.graph.node, _inputs(model), model.graph.output
    wanted.check_one(name, len(inputs), len(outputs))
    tensor = inputs[0].type.tensor_type
    wanted.check_input_type(name, str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    batch, *takes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim] or [None]
    wanted.check_batch(name, batch)
    layout = wanted.layout(name, takes)
    _check_operations(name, nodes, inputs[0].name)
    result = outputs[0].name
    result = _before_softmax(name, nodes, result) if wanted.output == "softmax" else result
    logits = tf.function(_function(onnx, model, name, layout, result), autograph=False)
    one = tf.TensorSpec((1, *wanted.input), tf.float32, name="input")
    wanted.check_labels(name, logits.get_concrete_function(one).structured_outputs.shape)
    _hold_against_runtime(model, runtime, name, logits, layout, wanted)
    save_logits(out, wanted, logits)
    return layout


def _load(onnx: Any, path: Path, name: Path) -> Any:
    """Return the model with its functions inlined. Raises ConversionError when it cannot be read."""
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # protobuf, the checker and the loader of external data each raise their own
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConversionError(f"{name}: not an ONNX model that can be loaded: {reason}; export it again") from error


def _inputs(model: Any) -> list[Any]:
    """Return the inputs that are no weights: older files name those, too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in weights]


def _check_operations(name: Path, nodes: Sequence[Any], source: str) -> None:
    """Raise ConversionError that names every operation on the input which has no form for the box."""
    depending, unknown = {source}, set()
    for node in nodes:
        if depending.isdisjoint(node.input):
            continue
        if _kind(node) not in OPERATIONS:
            unknown.add(_kind(node))
        # Sizes are known beforehand, for the batch is one.
        depending.update(() if node.op_type == "Shape" else node.output)
    if unknown:
        raise ConversionError(
            f"{name}: holds {', '.join(sorted(unknown))}, which affectd has no form of for the box; export the float "
            "network in plain operations, or bring it as Keras model, SavedModel or .tflite"
        )


def _kind(node: Any) -> str:
    return str(node.op_type) if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _before_softmax(name: Path, nodes: Sequence[Any], output: str) -> str:
    """Return what goes into the last softmax. Raises ConversionError when the graph ends otherwise."""
    maker = {made: node for node in nodes for made in node.output}
    while output in maker and maker[output].op_type == "Identity":
        output = maker[output].input[0]
    if output not in maker or maker[output].op_type not in ("Softmax", "LogSoftmax"):
        raise ConversionError(f"{name}: {NO_SOFTMAX}")
    return str(maker[output].input[0])


def _function(onnx: Any, model: Any, name: Path, layout: Layout, result: str) -> Callable[[Any], Any]:
    """Return a function of (1, *input of the box) that computes the graph up to its tensor `result`."""
    weights = {each.name: _float(onnx.numpy_helper.to_array(each)) for each in model.graph.initializer}
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)
    source = _inputs(model)[0].name

    def function(x: Any) -> Any:
        known: dict[str, Operand] = {**weights, source: _as_input(x, layout)}
        for node in model.graph.node:
            inputs = [known.get(each) if each else None for each in node.input]
            made = _computed(onnx, node, inputs, opset, name)
            known |= {each: value for each, value in zip(node.output, made, strict=False) if each}
            if result in known:
                break
        found = known[result]
        return found.plain() if isinstance(found, Value) else tf.constant(found)

    return function


def _as_input(x: Any, layout: Layout) -> Value:
    """Return the box's input as the graph's."""
    channels_first = layout.turned and layout.permutation[0] == len(layout.permutation) - 1
    if channels_first and len(layout.shape) == len(layout.permutation):
        return Value(x, channels_last=True)
    return Value(as_model_takes(x, layout))


def _computed(onnx: Any, node: Any, inputs: Sequence[Operand | None], opset: int, name: Path) -> Sequence[Operand]:
    """Return a node's outputs: by ONNX's own reference where no input depends on the network's, else as TensorFlow."""
    if not any(isinstance(each, Value) for each in inputs):
        reference = onnx.reference.ReferenceEvaluator(node, opsets={"": opset})
        given = {each: value for each, value in zip(node.input, inputs, strict=True) if each}
        return [_float(np.asarray(each)) for each in reference.run(None, given)]
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    attributes = {key: _array(onnx, value) for key, value in attributes.items()}
    what = Node(node.op_type, node.name or node.output[0], inputs, attributes, opset, len(node.output))
    try:
        made = OPERATIONS[node.op_type](what)
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from error
    except (ValueError, TypeError, IndexError, tf.errors.OpError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(
            f"{name}: holds {what.kind} ({what.name}) in a form that affectd does not take: {reason}"
        ) from error
    return made if isinstance(made, list) else [made]


def _array(onnx: Any, value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _float(array: NDArray[Any]) -> NDArray[Any]:
    """Return half and double precision as the float32 that the float model computes in."""
    return array.astype(np.float32) if array.dtype in (np.float16, np.float64) else array


def _hold_against_runtime(  # noqa: PLR0917
    model: Any, runtime: Any, name: Path, logits: Any, layout: Layout, wanted: Wanted
) -> None:
    """Raise ConversionError unless the function answers as ONNX Runtime does on random inputs."""
    samples = np.random.default_rng(0).standard_normal((TRIALS, *wanted.input)).astype(np.float32)
    given = [x.transpose(layout.permutation).reshape(1, *layout.shape) for x in samples]
    try:
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        source = _inputs(model)[0].name
        expected = np.concatenate([session.run(None, {source: x})[0] for x in given])
    except Exception as error:  # ONNX Runtime has a class of its own for every kind of failure
        raise ConversionError(f"{name}: ONNX Runtime cannot run it: {' '.join(str(error).split())}") from error
    if not np.isfinite(expected).all():
        raise ConversionError(f"{name}: gives NaN or infinity for random inputs, in ONNX Runtime too; train it anew")
    found = np.concatenate([np.asarray(logits(x[np.newaxis])) for x in samples])
    if wanted.output == "softmax":
        found, expected = found - found.max(axis=1, keepdims=True), np.log(np.maximum(expected, 1e-30))
        expected -= expected.max(axis=1, keepdims=True)
    away, most = float(np.abs(found - expected).max()), TOLERANCE * max(float(np.abs(expected).max()), 1e-3)
    # Written so that NaN fails.
    if not away <= most:
        raise ConversionError(
            f"{name}: its form for the box answers {away:.2g} away from ONNX Runtime, at most {most:.2g} may be; "
            "bring it as Keras model, SavedModel or .tflite"
        )
