"""A tiny face model in every form that `affectd-convert bundle --from` takes, and forms that it refuses.

python tests/support/own_models.py MODEL.keras FOLDER

Writes the forms under FOLDER, labels in alphabetical order as Keras's folders give them; imports each in
this one process; and writes `logits.npz` (form to logits for `tiny_models.samples`) and `refused.json`.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from affectd.events import LABELS
from affectd_convert.conversion.float_model import load_parent, parent_of, run
from affectd_convert.conversion.import_model import import_model
from affectd_convert.conversion.import_wanted import Wanted
from affectd_convert.errors import ConversionError
from support import tiny_models

ALPHABETICAL = sorted(LABELS)
ORDER = [ALPHABETICAL.index(label) for label in LABELS]
FORMS = {
    "logits.keras": "logits",
    "activation.keras": "softmax",
    "layer.keras": "softmax",
    "activation.h5": "softmax",
    "logits_saved": "logits",
    "layer_saved": "softmax",
    "logits.onnx": "logits",
    "activation.onnx": "softmax",
    "logits.tflite": "logits",
    "activation.tflite": "softmax",
    "channels_first.tflite": "softmax",
}
REFUSED = {
    # What is wrong: model, input, output, order.
    "size": ("logits.keras", (48, 48, 1), "logits", ORDER),
    "channels": ("logits_saved", (24, 24, 3), "logits", ORDER),
    "labels": ("logits.keras", (24, 24, 1), "logits", [*range(8)]),
    "no softmax": ("logits.keras", (24, 24, 1), "softmax", ORDER),
    "no softmax, saved": ("logits_saved", (24, 24, 1), "softmax", ORDER),
    "two inputs": ("two.keras", (24, 24, 1), "logits", ORDER),
    "no signature": ("bare_saved", (24, 24, 1), "logits", ORDER),
    "no model": ("empty_saved", (24, 24, 1), "logits", ORDER),
    "no Keras file": ("foreign.h5", (24, 24, 1), "logits", ORDER),
    "no format": ("model.bin", (24, 24, 1), "logits", ORDER),
    "cut off ONNX": ("cut.onnx", (24, 24, 1), "logits", ORDER),
    "unknown ONNX operation": ("foreign.onnx", (24, 24, 1), "logits", ORDER),
    "channels, ONNX": ("logits.onnx", (24, 24, 3), "logits", ORDER),
    "a batch of four": ("four.onnx", (24, 24, 1), "logits", ORDER),
    "cut off TFLite": ("cut.tflite", (24, 24, 1), "logits", ORDER),
    "TensorFlow's operations in TFLite": ("flex.tflite", (24, 24, 1), "logits", ORDER),
    "no softmax, TFLite": ("logits.tflite", (24, 24, 1), "softmax", ORDER),
}


def main(model, folder):
    import keras
    import tensorflow as tf

    parent = load_parent(model)
    for form in FORMS:
        ending = form.partition("_saved")[0].partition(".")[0]
        network = alphabetical(keras, parent, ending)
        if form.endswith("_saved"):
            network.export(folder / form, verbose=False)
        elif form.endswith(".onnx"):
            write_onnx(network, folder / form, softmax=ending == "activation")
        elif form.endswith(".tflite"):
            write_tflite(keras, tf, network, folder / form, channels_first=ending == "channels_first")
        else:
            network.save(folder / form)
    levels = keras.Input((24, 24, 1))
    keras.Model(levels, parent(keras.layers.Rescaling(1 / 25, -128 / 25)(levels))).save(folder / "rescaling.keras")
    pair = [keras.Input((24, 24, 1)) for _ in range(2)]
    keras.Model(pair, keras.layers.Flatten()(keras.layers.add(pair))).save(folder / "two.keras")
    tf.saved_model.save(tf.Module(), str(folder / "bare_saved"))
    (folder / "empty_saved").mkdir()
    for name in ("foreign.h5", "model.bin"):
        (folder / name).write_text("not HDF5")
    for name in ("logits.onnx", "logits.tflite"):
        content = (folder / name).read_bytes()
        (folder / name).with_stem("cut").write_bytes(content[: len(content) // 2])
    network = alphabetical(keras, parent, "logits")
    write_onnx(network, folder / "foreign.onnx", activation="Hardmax")
    write_onnx(network, folder / "four.onnx", batch=4)
    write_flex(tf, folder / "flex.tflite")
    import_all(folder)


def alphabetical(keras, parent, ending):
    """The tiny model with its labels in another order and one of its endings."""
    *_, before, last = parent.layers
    kernel, bias = last.get_weights()
    columns = [LABELS.index(label) for label in ALPHABETICAL]
    activation = "softmax" if ending in ("activation", "channels_first") else None
    dense = keras.layers.Dense(len(LABELS), activation=activation, dtype="float32")
    output = dense(before.output)
    dense.set_weights([kernel[:, columns], bias[columns]])
    if ending == "layer":
        output = keras.layers.Softmax(dtype="float32")(output)
    return keras.Model(parent.inputs, output)


def write_onnx(network, path, *, softmax=False, activation="Relu", batch="n"):
    """Write a stack of Conv, BatchNormalization, ReLU, pooling and Dense as PyTorch's exporter does, channels first."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes, weights, x = [], [], "input"

    def add(kind, *arrays, **attributes):
        nonlocal x
        names = [f"{kind}{len(nodes)}_{i}" for i in range(len(arrays))]
        weights.extend(map(numpy_helper.from_array, arrays, names))
        nodes.append(helper.make_node(kind, [x, *names], [f"y{len(nodes)}"], **attributes))
        x = nodes[-1].output[0]

    for layer in network.layers:
        match type(layer).__name__, layer.get_weights():
            case "Conv2D", [kernel]:
                add("Conv", kernel.transpose(3, 2, 0, 1).copy(), pads=[1, 1, 1, 1])
            case "BatchNormalization", statistics:
                add("BatchNormalization", *statistics, epsilon=layer.epsilon)
            case "ReLU", _:
                add(activation)
            case "MaxPooling2D", _:
                add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            case "Flatten", _:
                add("Transpose", perm=[0, 2, 3, 1])
                add("Flatten")
            case "Dense", [kernel, bias]:
                add("Gemm", kernel, bias)
    if softmax:
        add("Softmax")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("input", [batch, 1, 24, 24]), (x, [batch, len(LABELS)]))
    ]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)


def write_tflite(keras, tf, network, path, *, channels_first):
    if channels_first:
        first = keras.Input((1, 24, 24))
        network = keras.Model(first, network(keras.layers.Permute((2, 3, 1))(first)))
    with tempfile.TemporaryDirectory() as saved:
        network.export(saved, verbose=False)
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(saved).convert())


def write_flex(tf, path):
    """Write a model whose error function only TensorFlow itself has."""
    function = tf.function(lambda x: tf.math.erf(tf.reshape(x, (1, -1))[:, : len(LABELS)]), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec((1, 24, 24, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    path.write_bytes(converter.convert())


def import_all(folder):
    def read(name, shape, output, order, out):
        out.mkdir(parents=True, exist_ok=True)
        import_model(folder / name, out, Wanted(input=shape, output=output, order=tuple(order)))
        return run(parent_of(out), tiny_models.samples("face", 20, seed=5)[0])

    logits = {form: read(form, (24, 24, 1), output, ORDER, folder / "in" / form) for form, output in FORMS.items()}
    np.savez(folder / "logits.npz", **logits)
    refused = {}
    for what, arguments in REFUSED.items():
        try:
            read(*arguments, folder / "refused")
        except ConversionError as error:
            refused[what] = str(error)
    (folder / "refused.json").write_text(json.dumps(refused))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
