"""Two small networks, really trained for a moment on made-up data; a program, so that pytest stays without Keras.

python tests/support/tiny_models.py face|voice RUN
"""

import json
import sys
from pathlib import Path

import numpy as np

SHAPES = {"face": (24, 24, 1), "voice": (40, 12)}
LABELS = {"face": 7, "voice": 8}


def samples(task, count, seed):
    """Noise plus the pattern of one label: inputs (count, ...) float32 and labels (count,) int64."""
    patterns = np.random.default_rng(1).standard_normal((LABELS[task], *SHAPES[task]))
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, LABELS[task], count)
    return (patterns[truth] + 1.5 * rng.standard_normal((count, *SHAPES[task]))).astype(np.float32), truth


def build(task):
    import keras
    from keras import layers

    face = task == "face"
    convolution = layers.Conv2D if face else layers.Conv1D
    x = inputs = keras.Input(SHAPES[task])
    for channels in (8, 16):
        x = convolution(channels, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.5)(x)
        x = layers.ReLU()(x)
        x = (layers.MaxPooling2D if face else layers.MaxPooling1D)(2)(x)
        x = layers.Dropout(0.1)(x)
    x = (
        layers.Flatten()(x)
        if face
        else layers.Concatenate()([layers.LSTM(16, go_backwards=b)(x) for b in (False, True)])
    )
    return keras.Model(inputs, layers.Dense(LABELS[task], dtype="float32")(x))


def main(task, run):
    import keras

    # As real runs do: a policy of mixed precision must not reach the variants.
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if task == "face" else "float32")
    keras.utils.set_random_seed(3)
    run.mkdir(parents=True)
    x, y = samples(task, 800, seed=2)
    model = build(task)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=6, batch_size=32, verbose=0)
    model.save(run / "model.keras")
    (run / "config.json").write_text(json.dumps({"seed": 3}))
    (run / "history.csv").write_text("epoch,loss\n1,1.0\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
