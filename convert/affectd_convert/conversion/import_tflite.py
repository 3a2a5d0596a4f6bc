"""A finished `.tflite`: looked through for what the box cannot run, its ends brought to affectd's, nothing quantized.

Its layers stay as they are. What may change: a softmax is taken off the end, the input is reshaped or turned at the
beginning, the outputs are brought to affectd's order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from affectd.errors import ModelError
from affectd.inference.flatbuffer import IDENTIFIER
from affectd.inference.interpreter import installed_runtimes, read_model
from affectd_convert.conversion.float_model import FINISHED
from affectd_convert.conversion.import_wanted import NO_SOFTMAX, Layout, Wanted
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.errors import ConversionError

Tensor, Operator, Types, Codes = schema.TensorT, schema.OperatorT, schema.TensorType, schema.BuiltinOperator
_NAMES = {code: name for name, code in vars(Codes).items() if not name.startswith("_")}
_TYPES = {code: name.lower() for name, code in vars(Types).items() if not name.startswith("_")}
_WEIGHTS = {Types.INT8, Types.INT4, Types.UINT8}
_AROUND = {Codes.QUANTIZE, Codes.DEQUANTIZE, Codes.RESHAPE}
"""What may stand between a softmax and the output."""


def import_tflite(path: Path, out: Path, wanted: Wanted) -> Layout:
    """Write the model as `out`/finished.KIND.tflite, KIND found from its tensors; return what becomes of its input.

    Raises ConversionError when it is damaged, does not fit, or a runtime that is installed cannot run it.
    """
    try:
        content = read_model(path)
    except ModelError as error:
        raise ConversionError(str(error)) from error
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    _check_operations(path, model)
    graph = model.subgraphs[0]
    wanted.check_one(path, len(graph.inputs), len(graph.outputs))
    takes, gives = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    for tensor, what in ((takes, "takes"), (gives, "gives")):
        if tensor.type not in (Types.FLOAT32, Types.INT8):
            raise ConversionError(
                f"{path}: {what} {_TYPES[tensor.type]}; the box runs float32 and int8: convert it again with "
                f"inference_{'input' if what == 'takes' else 'output'}_type = tf.int8"
            )
    batch, *sizes = (int(size) for size in takes.shape)
    wanted.check_batch(path, batch)
    layout = wanted.layout(path, sizes)
    wanted.check_labels(path, [int(size) for size in gives.shape])
    kind = _kind(model)
    if wanted.output == "softmax":
        _take_softmax_off(path, model)
    if layout.changes:
        _begin_with_box(model, layout)
    if list(wanted.order) != sorted(wanted.order):
        _end_in_order(model, wanted.order)
    finished = out / FINISHED.format(kind=kind)
    finished.write_bytes(_packed(model))
    _run(path, finished, wanted)
    return layout


def _check_operations(path: Path, model: Any) -> None:
    """Raise ConversionError that names the operations which no runtime on the box has."""
    custom = sorted({_text(code.customCode) for code in model.operatorCodes if code.builtinCode == Codes.CUSTOM})
    flex = [name.removeprefix("Flex") for name in custom if name.startswith("Flex")]
    if flex:
        raise ConversionError(
            f"{path}: holds {', '.join(flex)} of TensorFlow itself, which no runtime on the box has; convert it again "
            "without tf.lite.OpsSet.SELECT_TF_OPS, or bring the model that it was made of"
        )
    if custom:
        raise ConversionError(
            f"{path}: holds custom operations ({', '.join(custom)}), which no runtime on the box has; build the "
            "network of TFLite's own, or bring the model that it was made of"
        )


def _kind(model: Any) -> str:
    """Return which kind of variant its tensors make it: see `affectd.inference.manifest.KINDS`."""
    weights, between = set(), set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            if model.operatorCodes[operator.opcodeIndex].builtinCode in (Codes.QUANTIZE, Codes.DEQUANTIZE):
                continue
            between |= {graph.tensors[number].type for number in operator.outputs}
        weights |= {each.type for each in graph.tensors if model.buffers[each.buffer].data is not None}
    if Types.INT8 in between:
        return "int8"
    if weights & _WEIGHTS:
        return "dynamic"
    return "float16" if Types.FLOAT16 in weights else "float32"


def _take_softmax_off(path: Path, model: Any) -> None:
    """Let what goes into the last softmax come out. Raises ConversionError when there is none at the end."""
    graph = model.subgraphs[0]
    maker = {number: operator for operator in graph.operators for number in operator.outputs}
    after, result = None, graph.outputs[0]
    while result in maker and _code(model, maker[result]) in _AROUND:
        after, result = maker[result], maker[result].inputs[0]
    softmax = maker.get(result)
    if softmax is None or _code(model, softmax) not in (Codes.SOFTMAX, Codes.LOG_SOFTMAX):
        raise ConversionError(f"{path}: {NO_SOFTMAX}")
    graph.operators.remove(softmax)
    if after is None:
        _end_at(model, softmax.inputs[0])
    else:
        after.inputs[0] = softmax.inputs[0]


def _begin_with_box(model: Any, layout: Layout) -> None:
    """Put the operations before the first that make the model's input of the box's."""
    graph = model.subgraphs[0]
    result, steps = graph.inputs[0], []
    turned = tuple(layout.box[axis] for axis in layout.permutation)
    if layout.shape != turned:
        before = _like(model, result, (1, *turned), "affectd_turned")
        steps.append(_operator(model, Codes.RESHAPE, before, (1, *layout.shape), result))
        result = before
    if layout.turned:
        before = _like(model, result, (1, *layout.box), "affectd_input")
        order = [0, *(axis + 1 for axis in layout.permutation)]
        steps.append(_operator(model, Codes.TRANSPOSE, before, order, result))
        result = before
    graph.operators[:0] = reversed(steps)
    for signature in model.signatureDefs or []:
        signature.inputs[0].tensorIndex = result
    graph.inputs = np.array([result], np.int32)


def _end_in_order(model: Any, order: tuple[int, ...]) -> None:
    """Put an operation behind the last that brings the outputs to affectd's order."""
    graph = model.subgraphs[0]
    found = graph.outputs[0]
    result = _like(model, found, (1, len(order)), "affectd_order")
    gather = _operator(model, Codes.GATHER, found, order, result)
    gather.builtinOptionsType, gather.builtinOptions = schema.BuiltinOptions.GatherOptions, schema.GatherOptionsT()
    gather.builtinOptions.axis = 1
    graph.operators.append(gather)
    _end_at(model, result)


def _end_at(model: Any, tensor: int) -> None:
    model.subgraphs[0].outputs = np.array([tensor], np.int32)
    for signature in model.signatureDefs or []:
        signature.outputs[0].tensorIndex = tensor


def _operator(model: Any, code: int, source: int, numbers: Any, result: int) -> Any:
    """Return an operation on a tensor and a constant list of numbers."""
    graph = model.subgraphs[0]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.asarray(numbers, np.int32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    constant = Tensor()
    constant.shape, constant.type = np.array([len(numbers)], np.int32), Types.INT32
    constant.buffer, constant.name = len(model.buffers) - 1, f"affectd_{_NAMES[code].lower()}"
    graph.tensors.append(constant)
    operation = schema.OperatorCodeT()
    operation.builtinCode = operation.deprecatedBuiltinCode = code
    operation.version = 2 if _is_int8(graph.tensors[source]) and code != Codes.RESHAPE else 1
    model.operatorCodes.append(operation)
    operator = Operator()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = np.array([source, len(graph.tensors) - 1], np.int32)
    operator.outputs = np.array([result], np.int32)
    return operator


def _like(model: Any, tensor: int, shape: tuple[int, ...], name: str) -> int:
    """Add a tensor of the same type and quantization and return its number."""
    graph, like = model.subgraphs[0], model.subgraphs[0].tensors[tensor]
    new = Tensor()
    new.shape, new.type, new.quantization, new.name = np.array(shape, np.int32), like.type, like.quantization, name
    graph.tensors.append(new)
    return len(graph.tensors) - 1


def _is_int8(tensor: Any) -> bool:
    return bool(tensor.type == Types.INT8)


def _code(model: Any, operator: Any) -> int:
    return int(model.operatorCodes[operator.opcodeIndex].builtinCode)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _run(path: Path, finished: Path, wanted: Wanted) -> None:
    """Raise ConversionError when a runtime that is installed cannot run it."""
    for runtime, version in installed_runtimes().items():
        try:
            device_logits(finished, np.zeros((1, *wanted.input), np.float32), runtime=runtime)
        except ConversionError as error:
            reason = str(error).partition(" failed: ")[2].rpartition("cannot open it: ")[2]
            raise ConversionError(
                f"{path}: {version} cannot run it: {reason.removeprefix('RuntimeError: ')}; bring the model that it "
                "was made of, and affectd converts it for every box"
            ) from error
