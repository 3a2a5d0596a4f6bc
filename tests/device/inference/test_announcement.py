"""What a TFLite runtime writes to standard error past Python: its announcement stays out, all else stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from affectd.inference.announcement import ANNOUNCEMENT
from affectd.inference.interpreter import installed_runtimes

MODEL = Path(__file__).parents[3] / "models" / "voice-cnn-lstm" / "voice-cnn-lstm-int8.tflite"
OPEN = f"""
import os, sys
from pathlib import Path
from affectd.inference.interpreter import Interpreter, load_runtime
runtime = load_runtime(sys.argv[1])
os.write(2, b"native\\n")
for _ in range(2):
    Interpreter(Path({str(MODEL)!r}), runtime)
print("python", file=sys.stderr)
"""
WRITE_MEANWHILE = """
import os, sys, types
from affectd.inference.announcement import ANNOUNCEMENT, take_announcement

class Interpreter:
    def __init__(self, **options):
        print("python", file=sys.stderr)
        os.write(2, b"ERROR: native\\n" + ANNOUNCEMENT + b"\\nINFO: something else\\n")
    def allocate_tensors(self):
        raise RuntimeError("no kernels")

module = types.ModuleType("runtime")
module.Interpreter = Interpreter
for _ in range(2):
    take_announcement(module)
print("after", file=sys.stderr)
"""


def stderr_of(program: str, *arguments: str) -> bytes:
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, timeout=60, check=True)
    return ended.stderr


@pytest.mark.parametrize("runtime", installed_runtimes())
def test_a_runtime_announces_nothing(runtime):
    assert stderr_of(OPEN, runtime) == b"native\npython\n"


def test_the_runtime_would_announce_itself_to_a_process_that_does_not_ask():
    unasked = "from affectd.inference import interpreter\ninterpreter.take_announcement = lambda module: None\n"
    assert ANNOUNCEMENT in stderr_of(unasked + OPEN, next(iter(installed_runtimes())))


def test_all_else_that_is_written_meanwhile_is_passed_on_and_a_failure_is_left_to_the_model():
    assert stderr_of(WRITE_MEANWHILE) == b"python\nERROR: native\nINFO: something else\nafter\n"
