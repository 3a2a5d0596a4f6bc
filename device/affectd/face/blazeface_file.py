"""Where BlazeFace's file lies, which affectd does not bring, and which one it must be."""

from __future__ import annotations

import hashlib
from pathlib import Path

from affectd.errors import ModelError
from affectd.face.blazeface import BlazeFaceDetector
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd.share import CHECKOUT, in_checkout, shared_folder

FILE = "face_detection_short_range.tflite"
SHA256 = "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
FETCH = "affectd fetch blazeface"


def folder() -> Path:
    """Return where the file belongs: beside the models, in a checkout's `detectors/` or the environment's share."""
    return (CHECKOUT if in_checkout() else shared_folder()) / "detectors" / "blazeface"


def open_blazeface(min_size: float, *, runtime: str = "auto", threads: int = 1) -> BlazeFaceDetector:
    """Open the detector on a TFLite runtime. Raises ModelError when the file is not there or is another one."""
    path = folder() / FILE
    fault = fault_of(path)
    if fault:
        raise ModelError(f'face.detector = "blazeface": {fault}; fetch it with \'{FETCH}\', or set "haar"')
    network = Interpreter(path, load_runtime(runtime), threads=threads, outputs=2)
    return BlazeFaceDetector(network, min_size)


def fault_of(path: Path) -> str:
    """Return what is wrong with the file, as a sentence; empty when it is the right one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return f"{path} is not there"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if hashlib.sha256(content).hexdigest() != SHA256:
        return f"{path} is not the file that it should be (sha256 {SHA256[:12]}...)"
    return ""
