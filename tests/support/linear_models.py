"""Bundles of any shape around networks of one layer, logits = weights @ input + bias, written without a converter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from affectd.inference.flatbuffer import IDENTIFIER
from affectd.inference.golden import pack_inputs, unpack_inputs

FloatArray = NDArray[np.float32]


def linear_model(shape: Sequence[int], weights: FloatArray, bias: FloatArray) -> bytes:
    """Return a float32 `.tflite` that takes (1, *shape) and gives (1, outputs); weights are (outputs, *shape)."""
    outputs = len(bias)
    flat = np.ascontiguousarray(weights.reshape(outputs, -1), np.float32)
    arrays = [None, None, flat, bias.astype(np.float32), None]
    shapes = [None, (1, *shape), flat.shape, (outputs,), (1, outputs)]
    model = schema.ModelT(
        version=3,
        operatorCodes=[
            schema.OperatorCodeT(
                builtinCode=schema.BuiltinOperator.FULLY_CONNECTED,
                deprecatedBuiltinCode=schema.BuiltinOperator.FULLY_CONNECTED,
                version=1,
            )
        ],
        subgraphs=[
            schema.SubGraphT(
                tensors=[
                    schema.TensorT(
                        shape=list(shapes[number]),
                        buffer=number,
                        name=f"tensor{number}",
                        type=schema.TensorType.FLOAT32,
                    )
                    for number in range(1, 5)
                ],
                inputs=[0],
                outputs=[3],
                operators=[
                    schema.OperatorT(
                        opcodeIndex=0,
                        inputs=[0, 1, 2],
                        outputs=[3],
                        builtinOptionsType=schema.BuiltinOptions.FullyConnectedOptions,
                        builtinOptions=schema.FullyConnectedOptionsT(),
                    )
                ],
            )
        ],
        buffers=[
            schema.BufferT() if array is None else schema.BufferT(data=np.frombuffer(array.tobytes(), np.uint8))
            for array in arrays
        ],
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def linear_bundle(
    folder: Path,
    shape: Sequence[int],
    weights: FloatArray,
    *,
    bias: FloatArray | None = None,
    preprocessing: Mapping[str, Any],
    labels: Sequence[str],
    outputs: Sequence[str | None] | None = None,
    spread: float = 1.0,
) -> Path:
    """Write a face bundle of one float32 variant; its golden inputs are random, of this standard deviation."""
    folder.mkdir(parents=True)
    bias = np.zeros(len(weights), np.float32) if bias is None else bias
    model = linear_model(shape, weights, bias)
    (folder / "float32.tflite").write_bytes(model)
    stored, scale = pack_inputs(np.random.default_rng(0).normal(0, spread, (12, *shape)).astype(np.float32))
    inputs = unpack_inputs(stored, scale)
    logits = (inputs.reshape(12, -1) @ weights.reshape(len(weights), -1).T + bias).astype(np.float32)
    np.savez(folder / "golden.npz", inputs=stored, scale=scale, logits=logits)
    manifest = {
        "schema": 1,
        "name": folder.name,
        "version": "1",
        "task": "face",
        "architecture": "linear",
        "maturity": "test",
        "labels": list(labels),
        **({} if outputs is None else {"outputs": list(outputs)}),
        "input": {"shape": [1, *shape], "dtype": "float32"},
        "preprocessing": dict(preprocessing),
        "calibration": {"temperature": 1.0},
        "skill": [0.7] * len(labels),
        "training_data": [],
        "metrics": [],
        "golden": {"file": "golden.npz", "sha256": _sha256(folder / "golden.npz")},
        "variants": {
            "float32": {
                "file": "float32.tflite",
                "bytes": len(model),
                "sha256": _sha256(folder / "float32.tflite"),
                "input": {"dtype": "float32"},
                "output": {"dtype": "float32"},
                "accuracy": 0.7,
                "agreement": 1.0,
            }
        },
        "affectd": "test",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
