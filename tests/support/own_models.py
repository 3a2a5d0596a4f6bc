"""A tiny face model in every form that `affectd-convert bundle --from` takes, and forms that it refuses.

python tests/support/own_models.py MODEL.keras FOLDER

Writes the forms under FOLDER, labels in alphabetical order as Keras's folders give them; imports each in
this one process; and writes `logits.npz` (form to logits for `tiny_models.samples`) and `refused.json`.
"""

import json
import sys
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
        else:
            network.save(folder / form)
    pair = [keras.Input((24, 24, 1)) for _ in range(2)]
    keras.Model(pair, keras.layers.Flatten()(keras.layers.add(pair))).save(folder / "two.keras")
    tf.saved_model.save(tf.Module(), str(folder / "bare_saved"))
    (folder / "empty_saved").mkdir()
    (folder / "foreign.h5").write_text("not HDF5")
    import_all(folder)


def alphabetical(keras, parent, ending):
    """The tiny model with its labels in another order and one of three endings."""
    *_, before, last = parent.layers
    kernel, bias = last.get_weights()
    columns = [LABELS.index(label) for label in ALPHABETICAL]
    activation = "softmax" if ending == "activation" else None
    dense = keras.layers.Dense(len(LABELS), activation=activation, dtype="float32")
    output = dense(before.output)
    dense.set_weights([kernel[:, columns], bias[columns]])
    if ending == "layer":
        output = keras.layers.Softmax(dtype="float32")(output)
    return keras.Model(parent.inputs, output)


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
