"""Every network of the toolchain, in small: its bundle holds in both runtimes, and the daemon answers by it.

A face and a voice at a time are named in the settings; `/faces`, `/voice` and `/health` must show their answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

from affectd.inference.bundle import Bundle
from affectd.inference.golden import Parity
from affectd.inference.interpreter import Interpreter, installed_runtimes, load_runtime
from affectd_convert.architectures.catalogue import FACE, VOICE
from e2e.program import CLIP, Affectd
from support.broker import Listener, Mosquitto

SAME = {"vgg16-slim", "vgg16-fast"}
"""VGG16 in other widths, which ship."""
ELSEWHERE = {"cnn-lstm-sequence"}
"""It sees several pictures; tests/convert/training/test_face_sequences.py and tests/e2e drive it."""
FACES = [name for name in FACE if name not in SAME | ELSEWHERE]
BESIDE = "vgg16", "mlp"
"""The face and the voice beside those that the other task has no partner for."""


def main() -> int:
    """Make the bundles, then run the daemon on each pair; return whether one did not answer."""
    print(f"left out: {', '.join(sorted(SAME))} (VGG16 in other widths), {', '.join(ELSEWHERE)} (a test of its own)\n")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make(folder)
        failed = [name for name in (*FACES, *VOICE) if not holds(folder / name)]
        print()
        with Mosquitto(folder / "broker") as broker:
            for face, voice in zip_longest(FACES, VOICE):
                pair = face or BESIDE[0], voice or BESIDE[1]
                failed += [] if answers(folder, broker, *pair) else [" with ".join(pair)]
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall answer")
    return bool(failed)


def make(folder: Path) -> None:
    """Write every bundle into the folder, in one start of TensorFlow, which runs in a process of its own."""
    command = [sys.executable, "-m", "support.tiny_networks", str(folder), *FACES, *VOICE]
    done = subprocess.run(command, env=os.environ, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the bundles could not be made:\n{done.stderr[-2000:]}")


def holds(folder: Path) -> bool:
    """Print and return whether a bundle gives its float parent's answers in every runtime."""
    bundle = Bundle.load(folder)
    golden, said = bundle.golden(), {}
    for runtime, kind in product(installed_runtimes(), bundle.variants):
        logits = Interpreter(bundle.model_file(kind), load_runtime(runtime)).run(golden.inputs)
        said[runtime, kind] = Parity.of(logits, golden.logits).shortfall(kind) or "holds"
    told = "; ".join(f"{runtime} {kind}: {what}" for (runtime, kind), what in said.items())
    print(f"{bundle.task:<6} {folder.name:<20} {told}", flush=True)
    return set(said.values()) == {"holds"}


def answers(folder: Path, broker: Mosquitto, face: str, voice: str) -> bool:
    """Print and return whether the daemon, with both named in its settings, reads a face and a voice by them."""
    box = f"{face}-{voice}"
    settings: dict[str, Any] = {
        "device": {"id": box},
        "camera": {"source": str(CLIP)},
        "clip": {"loop": True},
        "inference": {"face_model": str(folder / face), "voice_model": str(folder / voice)},
        "mqtt": {"faces": True, "voice": True},
    }
    with Listener(broker, f"affectd/{box}/#") as listener, Affectd(folder / box, broker, **settings):

        def read(topic: str) -> list[dict[str, Any]]:
            return [message.json for message in listener.on(f"affectd/{box}/{topic}")]

        def named() -> bool:
            return any(
                (health["models"]["face"]["name"], health["models"]["voice"]["name"]) == (face, voice)
                for health in read("health")
            )

        try:
            listener.wait_for(lambda _: any(one["faces"] for one in read("faces")))
            listener.wait_for(lambda _: any(one["active"] for one in read("voice")))
            listener.wait_for(lambda _: named())
        except AssertionError as error:
            print(f"daemon {face} with {voice}: {error}", flush=True)
            return False
        seen = next(one["faces"][0] for one in read("faces") if one["faces"])
        heard = next(one for one in read("voice") if one["active"])
    print(
        f"daemon {face:<20} {seen['emotion']:<9} {seen['confidence']:.2f}    {voice:<15} {heard['emotion']:<9} "
        f"{heard['confidence']:.2f}",
        flush=True,
    )
    return True


if __name__ == "__main__":
    sys.exit(main())
