"""ONNX graphs of every kind answer as ONNX Runtime has them answer, whatever order their axes are in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from affectd_convert.conversion.optional import needed
from affectd_convert.errors import ConversionError
from support import onnx_graphs

pytestmark = pytest.mark.timeout(400)


def test_every_kind_of_graph_answers_as_onnx_runtime_does(tmp_path):
    paths = [str(Path(onnx_graphs.__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, onnx_graphs.__file__, tmp_path], env=environment, check=True, timeout=300)
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert set(answers) == set(onnx_graphs.GRAPHS)
    for name, (difference, largest, said) in answers.items():
        assert difference < 1e-3 * max(largest, 1), f"{name}: {said}"
    assert "takes (3, 15, 12): the box's input (15, 12, 3) is turned to it" in answers["poolings"][2]
    assert answers["LSTM"][2] == ""


def test_a_package_that_is_not_there_is_a_sentence_with_the_command():
    with pytest.raises(ConversionError, match=r"needs no_such_package .*-m pip install no_such_package, and run this"):
        needed("no_such_package.part")
