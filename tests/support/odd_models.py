"""A network with the layers that once stopped the converter; a program, so that pytest stays without TensorFlow.

python tests/support/odd_models.py FOLDER

Writes `recurrent.keras`, its int8 variant, and `recurrent.npz` of inputs and the float model's logits.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers

from affectd_convert.conversion import convert_worker

SHAPE = (8, 12)


def recurrent():
    """Noise as an augmentation, a model within the model, LSTM layers both ways, a GRU."""
    x = inputs = keras.Input(SHAPE)
    x = layers.GaussianNoise(1.0)(x)
    x = keras.Sequential([keras.Input(SHAPE), layers.Dense(10, activation="relu"), layers.Dropout(0.5)])(x)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    x = layers.GRU(8)(x)
    return keras.Model(inputs, layers.Dense(8)(x))


def main(folder):
    keras.utils.set_random_seed(3)
    model = recurrent()
    model.save(folder / "recurrent.keras")
    inputs = np.random.default_rng(0).standard_normal((100, *SHAPE)).astype(np.float32)
    np.save(folder / "samples.npy", inputs)
    convert_worker.convert("int8", folder / "recurrent.keras", folder / "samples.npy", folder / "recurrent.tflite")
    np.savez(folder / "recurrent.npz", inputs=inputs, logits=model.predict(inputs, verbose=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
