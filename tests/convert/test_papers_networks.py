"""Every network that can be trained, tiny, from a step of training to the running daemon and a real broker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

import pytest

from affectd.inference.bundle import Bundle
from affectd.inference.golden import Parity
from affectd.inference.interpreter import Interpreter, installed_runtimes, load_runtime
from affectd_convert.architectures.catalogue import FACE, VOICE
from e2e.program import CLIP, Affectd
from support.broker import Listener, Mosquitto

SAME = {"vgg16-slim", "vgg16-fast"}
"""VGG16 in other widths, which ship."""
ELSEWHERE = {"cnn-lstm-sequence"}
"""It sees several pictures: training/test_face_sequences.py and e2e drive it."""
FACES = [name for name in FACE if name not in SAME | ELSEWHERE]
BOXES = {
    f"{face}-{voice}": (face, voice)
    for face, voice in ((face or FACES[0], voice or "mlp") for face, voice in zip_longest(FACES, VOICE))
}
"""A face and a voice at a time; the last ones of the longer list have a partner that had one before."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every network's bundle, made in one start of TensorFlow, which has a process of its own."""
    folder = tmp_path_factory.mktemp("networks")
    command = [sys.executable, "-m", "support.tiny_networks", str(folder), *FACES, *VOICE]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], env=os.environ, check=False, capture_output=True, text=True, timeout=220
    )
    assert not done.returncode, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", [*FACES, *VOICE])
def test_a_bundle_gives_its_float_parents_answers_in_every_runtime(made: Path, name: str) -> None:
    bundle = Bundle.load(made / name)
    golden = bundle.golden()
    for runtime, kind in product(installed_runtimes(), bundle.variants):
        logits = Interpreter(bundle.model_file(kind), load_runtime(runtime)).run(golden.inputs)
        assert not Parity.of(logits, golden.logits).shortfall(kind), (runtime, kind)


@pytest.fixture(scope="module")
def listener(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """What a box for each pair says, all at once: a voice is first heard some seconds into the clip."""
    folder = tmp_path_factory.mktemp("boxes")
    with Mosquitto(folder / "broker") as broker, Listener(broker, "affectd/#") as listener, ExitStack() as boxes:
        for box, (face, voice) in BOXES.items():
            settings: dict[str, dict[str, object]] = {
                "device": {"id": box},
                "camera": {"source": str(CLIP)},
                "clip": {"loop": True},
                "inference": {"face_model": str(made / face), "voice_model": str(made / voice)},
                "mqtt": {"faces": True, "voice": True},
            }
            boxes.enter_context(Affectd(folder / box, broker, **settings))
        yield listener


@pytest.mark.parametrize("box", BOXES)
def test_the_daemon_reads_a_face_and_a_voice_by_the_networks_that_its_settings_name(
    made: Path, listener: Listener, box: str
) -> None:
    def said(topic: str) -> list[dict[str, Any]]:
        return [message.json for message in listener.on(f"affectd/{box}/{topic}")]

    listener.wait_for(lambda _: any(one["faces"] for one in said("faces")))
    listener.wait_for(lambda _: any(one["active"] for one in said("voice")))
    listener.wait_for(lambda _: said("health"))
    seen = next(one["faces"][0] for one in said("faces") if one["faces"])
    heard = next(one for one in said("voice") if one["active"])
    for task, reading, name in zip(("face", "voice"), (seen, heard), BOXES[box], strict=True):
        assert said("health")[0]["models"][task]["name"] == name
        assert reading["emotion"] in Bundle.load(made / name).labels
