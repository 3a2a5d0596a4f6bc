"""The toolchain with one start of TensorFlow for all the steps that it gives a process, and a start, of their own.

In tests/: python -m support.one_process ARGUMENTS OF affectd-convert
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from affectd_convert.commands.main import main
from affectd_convert.conversion import float_model, quantize

TESTS = Path(__file__).parents[1]


@contextmanager
def in_one_process() -> Iterator[None]:
    """Do in this process what loads TensorFlow; what loads tflite-runtime, which crashes beside it, stays apart."""
    os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    with mock.patch.object(quantize, "run_module", run_here), mock.patch.object(float_model, "run_module", run_here):
        yield


def run_here(module: str, arguments: list[object], **_bounds: object) -> None:
    with mock.patch.object(sys, "argv", [module, *map(str, arguments)]):
        failed = importlib.import_module(module).main()
    assert not failed, f"{module} failed"


def convert(*arguments: object) -> None:
    """Run `affectd-convert` so, in a process beside this one, which stays without TensorFlow."""
    command = [sys.executable, "-m", "support.one_process", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, cwd=TESTS, env=environment, check=True, timeout=380)


if __name__ == "__main__":
    with in_one_process():
        sys.exit(main(sys.argv[1:]))
