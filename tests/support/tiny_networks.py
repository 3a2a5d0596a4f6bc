"""Every network of the catalogue in small: trained for a step, converted, bundled; a program, as it loads TensorFlow.

In tests/: python -m support.tiny_networks FOLDER [NAME ...]
"""

import json
import os
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

from affectd.events import LABELS, VOICE_LABELS
from affectd.voice.features import MfccFeatures
from affectd_convert.architectures import vgg16
from affectd_convert.architectures.catalogue import FACE, VOICE
from affectd_convert.bundling.description import Description
from affectd_convert.bundling.write import write_bundle
from affectd_convert.conversion import parity, tflite_logits
from affectd_convert.conversion.quantize import quantize
from affectd_convert.evaluation import cost
from affectd_convert.evaluation.report import Split
from affectd_convert.training.keras_engine import KerasEngine
from affectd_convert.training.plan import Plan, Stage
from support.one_process import in_one_process, run_here

SIDE = 32
"""Of a face; Keras's EfficientNet takes no smaller one."""
WINDOW = MfccFeatures(window_frames=40, mean=(0.0,) * 83, std=(30.0,) * 83)
BATCH, HELD_OUT = 32, 100


def small(name):
    """What a network's `build` takes so as to be small, besides the side of its picture."""
    from keras.src.applications.efficientnet import EfficientNet

    b_tiny = partial(EfficientNet, width_coefficient=0.1, depth_coefficient=0.1, default_size=SIDE)
    return {
        "vgg16": {"widths": vgg16.Widths((8, 8, 16, 16, 16), 32)},
        "mobilenet-v2": {"width": 0.25, "blocks": ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2))},
        "simple-cnn": {"blocks": ((8, 3), (8, 3), (16, 3))},
        "das-cnn": {"blocks": ((8, 3), (8, 5), (16, 3), (16, 3))},
        "dargula-cnn": {"blocks": ((8, 3), (16, 3), (32, 3))},
        "resnet50": {"stem": 8, "stages": ((8, 2), (16, 1))},
        "efficientnet-lite0": {"blocks": ((3, 1, 8, 1, 1), (5, 6, 8, 2, 2), (3, 6, 16, 1, 2))},
        "efficientnet-b7": {"base": b_tiny},
        "cnn1d": {"blocks": ((16, 5), (16, 5), (8, 5), (8, 3), (8, 3))},
    }.get(name, {})


@contextmanager
def with_litert_alone():
    """Run models in this process and in LiteRT alone, which TensorFlow bears beside it."""
    litert = {"litert": "LiteRT"}
    with ExitStack() as patches:
        for module in (tflite_logits, cost):
            patches.enter_context(mock.patch.object(module, "run_module", run_here))
        for module in (parity, cost):
            patches.enter_context(mock.patch.object(module, "installed_runtimes", lambda: litert))
        yield


def samples(shape, labels, count, seed):
    """Noise: inputs (count, *shape) float32 and labels (count,) int64."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *shape)).astype(np.float32), rng.permutation(np.arange(count) % labels)


def trained(name, labels, shape, run):
    """Train as affectd-convert does, and save the model; return what it was trained on."""
    import keras
    import tensorflow as tf

    face = name in FACE
    network = FACE[name] if face else VOICE[name]
    sizes = {"size": SIDE} if face else {"frames": shape[0], "columns": shape[1]}
    optimizer = network.optimizer if face else "adamw"
    plan = Plan(stages=(Stage(epochs=1),), precision="float32", optimizer=optimizer)
    keras.utils.set_random_seed(3)
    # A step is not worth tracing a graph for.
    tf.config.run_functions_eagerly(True)
    engine = KerasEngine(partial(network.build, len(labels), **sizes, **small(name)), plan, None)
    inputs, truth = samples(shape, len(labels), BATCH, seed=2)
    engine.step(inputs, np.eye(len(labels), dtype=np.float32)[truth], 1e-3)
    engine.settle([inputs])
    tf.config.run_functions_eagerly(False)
    run.mkdir(parents=True)
    engine.keras_model().save(run / "model.keras")
    (run / "config.json").write_text(json.dumps({"seed": 3}))
    return inputs


def main(folder, names):
    for name in names:
        face = name in FACE
        labels = LABELS if face else VOICE_LABELS
        shape = (SIDE, SIDE, FACE[name].inputs.channels) if face else WINDOW.shape
        run = folder / "runs" / name
        inputs = trained(name, labels, shape, run)
        held_out = Split("noise, other seed", *samples(shape, len(labels), HELD_OUT, seed=5))
        # A deep network that has hardly learnt is not the same in int8.
        variants = quantize(run / "model.keras", inputs, run / "tflite", ["float32"])
        description = Description(
            name=name,
            version="1",
            task="face" if face else "voice",
            architecture=name,
            maturity="test",
            labels=labels,
            parameters={**FACE[name].inputs.to_manifest(), "size": SIDE} if face else WINDOW.to_manifest(),
            training_data=[{"name": "noise", "use": f"{len(inputs)} samples", "licence": "none needed"}],
        )
        write_bundle(folder / name, description, run=run, variants=variants, held_out=held_out, even_so=True)
        print(f"## {name}: {sum(os.times()[:4]):.1f} s of CPU so far", flush=True)


if __name__ == "__main__":
    with in_one_process(), with_litert_alone():
        main(Path(sys.argv[1]), sys.argv[2:] or [*FACE, *VOICE])
