"""Networks as Keras users bring them: MobileNetV2, a BiLSTM, a GRU, a log-mel network, and one of Keras 2.

python keras_models.py FOLDER: reads the samples in it and writes the models beside them, heads fitted.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from samples import fitted_head, windows

from affectd.events import LABELS, VOICE_LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd.voice.features import LogMelFeatures, MfccFeatures


def main(folder: Path) -> None:
    """Write every model."""
    keras.utils.set_random_seed(0)
    with np.load(folder / "train.npz") as data:
        pixels, truth = data["pixels"], data["label"]
    make = FacePreprocessing.from_manifest({"size": 96, "channels": 3, "equalize": False, "mean": 127.5, "std": 127.5})
    faces = np.stack([make.prepare(face) for face in pixels])
    mobile = keras.applications.MobileNetV2((96, 96, 3), alpha=0.5, include_top=False, weights=None, pooling="avg")
    settle(mobile, faces[::4])
    with_head(mobile, faces, truth, len(LABELS)).save(folder / "mobilenet_v2.keras")
    write_voices(folder)
    write_keras_2(folder, faces[:, ::2, ::2, :1], truth)


def settle(network: keras.Model, inputs: np.ndarray) -> None:
    """Set the batch normalizations of an untrained network to the statistics of what flows through it."""
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    network(inputs, training=True)


def with_head(body: keras.Model, inputs: np.ndarray, truth: np.ndarray, labels: int, activation=None) -> keras.Model:
    """Return the network with a last layer that is fitted to the samples."""
    dense = layers.Dense(labels, activation=activation)
    network = keras.Model(body.inputs, dense(body.output))
    dense.set_weights(fitted_head(body.predict(inputs, batch_size=64, verbose=0), truth, labels))
    return network


def write_voices(folder: Path) -> None:
    """Write two recurrent networks over affectd's own features, and a convolutional one over log-mel."""
    mfcc, statistics = MfccFeatures.from_manifest({"kind": "mfcc"}, without_statistics=True), folder / "mfcc.npz"
    x, truth = windows(folder / "train.csv", mfcc)
    mean, std = x.mean(axis=(0, 1)), x.std(axis=(0, 1)) + 1e-3
    np.savez(statistics, mean=mean, std=std)
    x = (x - mean) / std
    for name, layer in (("bilstm", layers.Bidirectional(layers.LSTM(32))), ("gru", layers.GRU(48))):
        start = keras.Input(x.shape[1:])
        y = layers.MaxPooling1D(4)(layers.Conv1D(48, 5, 2, activation="relu")(start))
        body = keras.Model(start, layer(y))
        with_head(body, x, truth, len(VOICE_LABELS), "softmax").save(folder / f"{name}.keras")
    mel = LogMelFeatures()
    x, truth = windows(folder / "train.csv", mel)
    np.savez(folder / "log_mel.npz", mean=x.mean(axis=(0, 1)), std=x.std(axis=(0, 1)) + 1e-3)
    x = (x - x.mean(axis=(0, 1))) / (x.std(axis=(0, 1)) + 1e-3)
    start = keras.Input((*x.shape[1:], 1))
    y = start
    for channels in (16, 32, 64):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels, 3, 2, use_bias=False)(y)))
    body = keras.Model(start, layers.GlobalAveragePooling2D()(y))
    settle(body, x[..., np.newaxis])
    with_head(body, x[..., np.newaxis], truth, len(VOICE_LABELS)).export(folder / "log_mel_saved", verbose=False)


def write_keras_2(folder: Path, faces: np.ndarray, truth: np.ndarray) -> None:
    """Write an .h5 of Keras 2 with an operation of TensorFlow between its layers, which Keras 3 cannot read."""
    import tensorflow as tf
    import tf_keras

    start = tf_keras.Input(faces.shape[1:])
    y = start
    for channels in (16, 24, 24):
        y = tf.nn.relu6(tf_keras.layers.Conv2D(channels, 3, 2)(y))
    body = tf_keras.Model(start, tf_keras.layers.Flatten()(y))
    dense = tf_keras.layers.Dense(len(LABELS), activation="softmax")
    network = tf_keras.Model(start, dense(body.output))
    dense.set_weights(fitted_head(body.predict(faces, verbose=0), truth, len(LABELS)))
    network.save(folder / "keras_2.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
