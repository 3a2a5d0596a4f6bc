"""Delegates that kill or hang whoever loads them, under a daemon of its own process: events go on, on the CPU."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from affectd import pipeline
from affectd.config.file import load
from affectd.daemon import Daemon
from affectd.inference.interpreter import installed_runtimes
from e2e.completeness import EVENT, HEALTH, count, restless
from e2e.program import Affectd, command, environment
from support.broker import Listener, Mosquitto
from support.bundles import Made
from support.delegates import FAULTS, build_delegate
from support.waiting import until

KNOWN = {
    "edgetpu": "libedgetpu.so.1",
    "teflon": "libteflon.so",
    "armnn": "libarmnnDelegate.so",
    "vx": "libvx_delegate.so",
}
DEADLY = {
    "litert": ("hang", "abort", "run-segfault", "run-exit"),
    "tflite-runtime": ("run-hang", "run-abort", "segfault", "exit"),
}
IMPATIENT = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from affectd.cli.main import main
from affectd.inference.accelerators import trial
trial.STEP_S = 6.0
sys.exit(main(sys.argv[4:]))
"""
"""Runs the command behind it, `python -m affectd.cli.main ...`, with another deadline."""


def daemon(folder: Path, broker: Mosquitto, face: Made, **inference: Any) -> Affectd:
    own = {"models": str(face.bundle.parent), "face": face.bundle.name, "voice": "off", **inference}
    return restless(folder, broker, inference=own)


def model_in_use(listener: Listener) -> Any:
    """Return what the newest health message says of the face model."""
    listener.wait_for(lambda messages: any(m.topic == HEALTH and m.json["models"] for m in messages))
    return listener.on(HEALTH)[-1].json["models"]["face"]


@pytest.mark.parametrize("runtime", installed_runtimes())
def test_a_daemon_that_finds_deadly_delegates_runs_on_the_cpu(
    broker: Mosquitto, face_model: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    faults = DEADLY[runtime]
    for file, fault in zip(KNOWN.values(), faults, strict=True):
        build_delegate(tmp_path / file, fault=fault)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    affectd = daemon(tmp_path / "box", broker, face_model, runtime=runtime, delegate="auto")
    affectd.started_through = [sys.executable, "-c", IMPATIENT]
    with Listener(broker, EVENT, HEALTH) as listener, affectd:
        listener.wait_for(lambda messages: count(messages) >= 2)
        used = model_in_use(listener)
        assert used["delegate"] == "cpu"
        for name, fault in zip(KNOWN, faults, strict=True):
            assert f"{name}: {FAULTS[fault]}" in used["delegate_reason"]
        affectd.send(signal.SIGTERM)
        assert affectd.wait() == 0


def test_after_a_death_in_a_delegate_the_next_start_takes_the_cpu_until_check_is_asked(
    broker: Mosquitto, face_model: Made, tmp_path: Path
) -> None:
    library = build_delegate(tmp_path / "delegate.so", "-DLATE=60", fault="late-abort")
    affectd = daemon(tmp_path / "box", broker, face_model, delegate=str(library))
    with Listener(broker, EVENT, HEALTH) as listener, affectd:
        assert affectd.wait() == -signal.SIGABRT
        assert model_in_use(listener)["delegate"] == str(library)
    with Listener(broker, EVENT, HEALTH) as listener:
        affectd.start()
        until(lambda: "face-tiny runs on the CPU: " in affectd.log)
        listener.wait_for(lambda messages: count(messages) >= 2)
        used = model_in_use(listener)
        affectd.send(signal.SIGTERM)
        assert affectd.wait() == 0
    assert used["delegate"] == "cpu"
    assert "ended without a stop while it was used" in used["delegate_reason"]

    checked = subprocess.run(
        command("check", "--json", "--config", str(affectd.settings_file)),
        env=environment(),
        capture_output=True,
        check=False,
    )
    (found,) = (each for each in json.loads(checked.stdout) if each["part"] == "face model")
    assert f"{library} (2 of 6 operations" in found["found"]
    affectd.start()
    until(lambda: affectd.log.count(f"face-tiny runs on {library}") == 2)


def test_a_worker_that_hangs_in_a_delegate_goes_on_without_it(
    broker: Mosquitto, face_model: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = build_delegate(tmp_path / "delegate.so", "-DLATE=60", fault="late-hang")
    affectd = daemon(tmp_path / "box", broker, face_model, delegate=str(library))
    monkeypatch.setattr(pipeline, "WORKER_DEADLINE_S", 5.0)
    stop = threading.Event()
    runs = threading.Thread(target=Daemon(load(affectd.settings_file, {})).run, args=(stop,))
    with Listener(broker, EVENT, HEALTH) as listener:

        def on_cpu() -> bool:
            return any(message.json["models"]["face"]["delegate"] == "cpu" for message in listener.on(HEALTH))

        runs.start()
        try:
            until(on_cpu)
            before = count(listener.on(EVENT))
            listener.wait_for(lambda messages: count(messages) >= before + 2)
        finally:
            stop.set()
            runs.join(30)
    assert model_in_use(listener)["delegate_reason"] == f"{library}: it hung in use"
    again = daemon(tmp_path / "box", broker, face_model, delegate=str(library))
    with again:
        until(lambda: "face-tiny runs on the CPU" in again.log)
    assert "it hung in use; it is left alone until 'affectd check' finds it right" in again.log
