"""A PyTorch file, a program that runs without the classes it was written with, by way of ONNX.

Needs PyTorch and the extra `affectd[onnx]`. Pickled objects are not opened: they run whatever code they hold.
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

from affectd_convert.conversion.import_wanted import FACE_AXES, Layout, Wanted
from affectd_convert.conversion.optional import needed
from affectd_convert.errors import ConversionError

_EXPORT = (
    "where its class is at hand, export the network with its weights: "
    "torch.onnx.export(model.eval(), torch.zeros(1, {shape}), 'model.onnx'), and give that file"
)


def import_torch(path: Path, out: Path, wanted: Wanted) -> Layout:
    """Write a TorchScript file (torch.jit.save) or an exported program (torch.export.save) as `out`/saved_model.

    Returns what becomes of its input. Raises ConversionError when it is none of these or does not fit.
    """
    torch, *_ = needed("torch", "onnx", "onnxruntime", "onnxscript")
    program = _load(torch, path, wanted)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.onnx")
        try:
            _export(torch, program, model, wanted)
        except ConversionError:
            raise
        except Exception as error:  # the exporters raise whatever the network's own code raises
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ConversionError(f"{path}: PyTorch cannot export it to ONNX: {reason}") from error
        # Not before: PyTorch's exporter crashes in a process that has loaded TensorFlow.
        from affectd_convert.conversion.import_onnx import import_onnx

        return import_onnx(model, out, wanted, name=path)


def _load(torch: Any, path: Path, wanted: Wanted) -> Any:
    """Return the program. Raises ConversionError that says what else the file holds."""
    exported = _EXPORT.format(shape=", ".join(map(str, _first_guess(wanted))))
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError):
        pass
    if path.suffix == ".pt2":
        try:
            return torch.export.load(str(path))
        except Exception as error:  # zipfile, json and PyTorch raise their own
            reason = str(error).strip().partition("\n")[0]
            raise ConversionError(
                f"{path}: not an exported program that can be loaded: {reason}; {exported}"
            ) from error
    try:
        held = torch.load(str(path), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConversionError(f"{path}: holds Python objects whose classes are not here; {exported}") from error
    except Exception as error:  # zipfile, OSError, EOFError, RuntimeError
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(f"{path}: not a PyTorch file that can be loaded: {reason}; {exported}") from error
    what = f"weights only ({len(held)} entries)" if isinstance(held, dict) else f"a {type(held).__name__}"
    raise ConversionError(f"{path}: holds {what}, not the network; {exported}")


def _export(torch: Any, program: Any, model: Path, wanted: Wanted) -> None:
    if isinstance(program, torch.jit.ScriptModule):
        torch.onnx.export(program, (_example(torch, program, wanted),), str(model), dynamo=False)
    else:
        torch.onnx.export(program, f=str(model), dynamo=True, external_data=False, verbose=False)


def _example(torch: Any, program: Any, wanted: Wanted) -> Any:
    """Return zeros in the first shape that the program takes: as PyTorch has it, as the box has it."""
    last: Exception | None = None
    for shape in (_first_guess(wanted), wanted.input, (1, *wanted.input), (1, *_first_guess(wanted))):
        zeros = torch.zeros(1, *shape)
        try:
            with torch.no_grad():
                answer = program(zeros)
        except RuntimeError as error:
            last = last or error
            continue
        if isinstance(answer, torch.Tensor) and answer.shape == (1, len(wanted.order)):
            return zeros
    raise last or ConversionError("gives something else than one value a label")


def _first_guess(wanted: Wanted) -> tuple[int, ...]:
    """Return the shape that such a network takes in PyTorch: a picture's channels first, a voice's window as it is."""
    if len(wanted.input) < len(FACE_AXES):
        return wanted.input
    *frames, height, width, channels = wanted.input
    return (*frames, channels, height, width)
