"""A tiny bundle for each kind of voice features, of an untrained Keras model; a program, as it loads TensorFlow.

In tests/: python -m support.voice_kinds FOLDER
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from affectd.events import VOICE_LABELS
from affectd.inference.golden import pack_inputs, unpack_inputs
from affectd.voice.features import LogMelFeatures, MfccChromaFeatures, MfccFeatures, WaveformFeatures

KINDS = {
    "mfcc": (MfccFeatures(mean=(0.0,) * 83, std=(30.0,) * 83), (1, 300, 83)),
    "log-mel": (LogMelFeatures(window_frames=94, hop_s=0.032, filters=32, mean=(-50.0,), std=(20.0,)), (1, 94, 32, 1)),
    "mfcc-chroma": (MfccChromaFeatures(parts=("mfcc", "chroma", "mel", "contrast", "tonnetz")), (1, 193, 1)),
    "waveform": (WaveformFeatures(samples=32_000, standardize=True), (1, 32_000)),
}
"""Features, and the shape that the network takes them in."""


def main(folder):
    import keras
    import tensorflow as tf
    from keras import layers

    for number, (kind, (features, shape)) in enumerate(KINDS.items()):
        keras.utils.set_random_seed(number)
        network = keras.Sequential([keras.Input(shape[1:], batch_size=1), layers.Flatten(), layers.Dense(8)])
        content = tf.lite.TFLiteConverter.from_keras_model(network).convert()
        stored, scale = pack_inputs(np.random.default_rng(number).standard_normal((4, *shape[1:])).astype(np.float32))
        logits = np.concatenate([network(row[np.newaxis]).numpy() for row in unpack_inputs(stored, scale)])
        bundle = folder / kind
        bundle.mkdir(parents=True)
        (bundle / "float32.tflite").write_bytes(content)
        np.savez(bundle / "golden.npz", inputs=stored, scale=scale, logits=logits)
        (bundle / "manifest.json").write_text(json.dumps(manifest(kind, features, shape, bundle)))


def manifest(kind, features, shape, bundle):
    tensor = {"dtype": "float32"}
    model, golden = ((bundle / name).read_bytes() for name in ("float32.tflite", "golden.npz"))
    variant = {"file": "float32.tflite", "bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}
    return {
        "schema": 1,
        "name": f"voice-{kind}",
        "version": "0",
        "task": "voice",
        "architecture": "dense",
        "maturity": "test",
        "labels": list(VOICE_LABELS),
        "input": {"shape": list(shape), **tensor},
        "features": features.to_manifest(),
        "calibration": {"temperature": 1.0},
        "skill": [0.5] * 8,
        "training_data": [],
        "metrics": [],
        "golden": {"file": "golden.npz", "sha256": hashlib.sha256(golden).hexdigest()},
        "affectd": "0",
        "variants": {"float32": {**variant, "input": tensor, "output": tensor, "accuracy": 0.1, "agreement": 1.0}},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
