"""Networks that once stopped the converter, or that int8 spoils; a program, so that pytest stays without TensorFlow.

In tests/: python -m support.odd_models FOLDER

Writes `recurrent.tflite`, int8, and `recurrent.npz` of inputs and the float model's logits; what became of a network
that was calibrated on a broken sample, `mended.json` and its variants in `tflite`; and `mixed.tflite`, the same with
its worst layer left in float; `behind-1d` and `behind-2d` in int8 and float32, networks that
normalize behind their activations, and an `.npz` of each.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers

from affectd_convert.conversion import convert_worker
from affectd_convert.conversion.layer_errors import layer_errors
from affectd_convert.conversion.variants import Trial, make_variants
from support.one_process import in_one_process

SHAPE = (8, 12)


def recurrent():
    """Noise as an augmentation, a model within the model, LSTM layers both ways, a GRU."""
    x = inputs = keras.Input(SHAPE)
    x = layers.GaussianNoise(1.0)(x)
    x = keras.Sequential([keras.Input(SHAPE), layers.Dense(10, activation="relu"), layers.Dropout(0.5)])(x)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    x = layers.GRU(8)(x)
    return keras.Model(inputs, layers.Dense(8)(x))


def convolutional():
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(7, kernel_initializer="random_normal")(layers.Flatten()(x)))


def normalizing_behind_activations(dimensions):
    """Padded, strided and even convolutions; one normalization turns channels round in front of a maximum: it stays.

    What the last one gives, over time, goes to two LSTMs.
    """
    convolution = layers.Conv1D if dimensions == 1 else layers.Conv2D
    pool = layers.MaxPooling1D if dimensions == 1 else layers.MaxPooling2D
    x = inputs = keras.Input((12,) * dimensions + (3,))
    for side, stride, lowest in ((3, 1, 0.1), (4, 2, -1.0), (3, 1, 0.1)):
        x = convolution(8, side, strides=stride, padding="same", activation="relu")(x)
        norm = layers.BatchNormalization()
        x = layers.Dropout(0.5)(pool(2, padding="same")(norm(x)))
        gamma, beta, of_mean = np.random.default_rng(side).uniform(lowest, 3, (3, 8))
        norm.set_weights([gamma, beta, of_mean, np.ones(8)])
    if dimensions == 1:
        ways = (layers.LSTM(6, return_sequences=True, go_backwards=backwards)(x) for backwards in (False, True))
        x = layers.Concatenate()([layers.GlobalAveragePooling1D()(steps) for steps in ways])
    else:
        x = layers.GlobalAveragePooling2D()(x)
    x = layers.BatchNormalization()(layers.Dense(16, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(8)(x))


def main(folder):
    keras.utils.set_random_seed(3)
    model = recurrent()
    model.save(folder / "recurrent.keras")
    inputs = np.random.default_rng(0).standard_normal((100, *SHAPE)).astype(np.float32)
    np.save(folder / "samples.npy", inputs)
    convert_worker.convert("int8", folder / "recurrent.keras", folder / "samples.npy", folder / "recurrent.tflite")
    np.savez(folder / "recurrent.npz", inputs=inputs, logits=model.predict(inputs, verbose=0))
    for dimensions in (1, 2):
        name, model = f"behind-{dimensions}d", normalizing_behind_activations(dimensions)
        model.save(folder / f"{name}.keras")
        inputs = np.random.default_rng(0).standard_normal((100, *model.input_shape[1:])).astype(np.float32)
        np.save(folder / "samples.npy", inputs)
        for kind in ("int8", "float32"):
            out = folder / f"{name}-{kind}.tflite"
            convert_worker.convert(kind, folder / f"{name}.keras", folder / "samples.npy", out)
        np.savez(folder / f"{name}.npz", inputs=inputs, logits=model.predict(inputs, verbose=0))
    model = convolutional()
    model.save(folder / "convolutional.keras")
    inputs = np.random.default_rng(0).standard_normal((300, 8, 8, 1)).astype(np.float32)
    trial = Trial(inputs[100:], model.predict(inputs[100:], verbose=0).argmax(axis=1))
    # One sample, the last that int8 is calibrated on, is broken: it stretches the ranges to forty times theirs.
    inputs[np.random.default_rng(0).permutation(100)[-1]] *= 40
    tflite = folder / "tflite"
    with in_one_process():
        made = make_variants(folder / "convolutional.keras", inputs[:100], tflite, ["int8", "float32"], trial)
    (folder / "mended.json").write_text(json.dumps({"file": made.paths["int8"].name, "remarks": made.remarks}))
    worst = layer_errors(tflite / "float32.tflite", tflite / "int8.tflite", inputs[100:])[0]
    np.save(folder / "samples.npy", inputs[:100])
    arguments = folder / "convolutional.keras", folder / "samples.npy", folder / "mixed.tflite"
    convert_worker.convert(convert_worker.FITTED, *arguments, [worst.name])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
