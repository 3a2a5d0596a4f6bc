"""Face models of other shapes, colours and labels than the shipped ones, in the daemon."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectd.cli.check.probes import probe_model
from affectd.cli.main import main
from affectd.config.file import load
from e2e.program import DEVICE, Affectd
from support.broker import Listener, Message, Mosquitto
from support.linear_models import linear_bundle
from support.media import write_clip
from support.scenes import PORTRAIT, scene

ROOT = f"affectd/{DEVICE}"
RGB = {"size": [40, 56], "colour": "rgb", "mean": 0, "std": 1}
"""A network that rescales inside takes the levels as they are."""


def reddish_person(folder: Path) -> Path:
    picture = scene((320, 240, 170))
    picture[:, :, 0] //= 3
    return write_clip(folder / "person.mp4", frames=[picture] * 40, fps=10)


def red_over_blue(outputs: int, *places: int) -> np.ndarray:
    """Weights of a network whose outputs at these places rise with red less blue, the mean of either in 0..1."""
    weights = np.zeros((outputs, 40, 56, 3), np.float32)
    for place in places:
        weights[place, :, :, 0], weights[place, :, :, 2] = 6 / (40 * 56 * 255), -6 / (40 * 56 * 255)
    return weights


def program(folder: Path, broker: Mosquitto, bundle: Path, clip: Path | None = None, **settings: Any) -> Affectd:
    return Affectd(
        folder,
        broker,
        camera={"source": str(clip or reddish_person(folder))},
        clip={"loop": True},
        inference={"face_model": str(bundle), "voice": "off"},
        mqtt={"faces": True},
        **settings,
    )


def awaited(listener: Listener, topic: str, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Wait for a document of this kind."""

    def found(messages: list[Message]) -> list[dict[str, Any]]:
        told = [message.json for message in messages if message.topic == f"{ROOT}/{topic}"]
        return [document for document in told if wanted(document)]

    return found(listener.wait_for(found))[-1]


def test_a_colour_model_of_three_labels_answers_by_its_outputs(broker: Mosquitto, tmp_path: Path) -> None:
    bundle = linear_bundle(
        tmp_path / "red-is-happy",
        (40, 56, 3),
        red_over_blue(5, 2, 4),
        bias=np.array([0, 9, 0, 0, 0], np.float32),  # the one of no label is sure
        preprocessing=RGB,
        labels=["happy", "sad", "neutral"],
        outputs=["neutral", None, "happy", "sad", "happy"],
        spread=80,
    )
    with Listener(broker, f"{ROOT}/#") as listener, program(tmp_path, broker, bundle):
        event = awaited(listener, "event", lambda event: event["emotion"])
        health = awaited(listener, "health", lambda health: health["face_readings_per_s"] > 0)
    assert event["emotion"] == "happy"
    assert event["models"]["face"] == "red-is-happy 1 float32"
    for probabilities in (event["probabilities"], event["face"]["probabilities"]):
        assert {label for label, p in probabilities.items() if p > 0} == {"happy", "sad", "neutral"}
        assert sum(probabilities.values()) == pytest.approx(1, abs=0.001)
    assert (health["status"], health["camera_notice"]) == ("ok", None)
    assert health["models"]["face"]["labels"] == ["happy", "sad", "neutral"]


def person_in_changing_light(folder: Path) -> Path:
    """A clip in which the light rises for 1.5 seconds, and for 1.5 it falls again."""
    picture, light = scene((320, 240, 170)).astype(float), np.r_[0.5:1:15j, 1:0.5:15j]
    frames = [(picture * share).astype(np.uint8) for share in light]
    return write_clip(folder / "light.mp4", frames=frames, fps=10)


def emotions(messages: list[Message]) -> list[str]:
    """The emotions of the events, each once until another one comes."""
    events = [message.json["emotion"] for message in messages if message.topic == f"{ROOT}/event"]
    return [emotion for emotion, _ in groupby(filter(None, events))]


def test_a_network_over_several_frames_sees_what_happens_in_them(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its answer is the last crop's light less the first one's, of which no single picture tells anything."""
    weights = np.zeros((2, 8, 24, 24, 1), np.float32)
    weights[0, -1], weights[0, 0] = 0.4 / 24**2, -0.4 / 24**2
    preprocessing = {"size": 24, "equalize": False, "mean": 0, "std": 1, "frames": 8}
    bundle = linear_bundle(
        tmp_path / "rising", (8, 24, 24, 1), weights, preprocessing=preprocessing, labels=["happy", "sad"], spread=80
    )
    clip = person_in_changing_light(tmp_path)
    quick = {"strategy": "face", "half_life_s": 0.1, "dwell_s": 0.0}
    with Listener(broker, f"{ROOT}/#") as listener, program(tmp_path, broker, bundle, clip, fusion=quick) as affectd:
        listener.wait_for(lambda messages: "happy sad happy" in " ".join(emotions(messages)))
    found = probe_model("face", load(affectd.settings_file, {})).found
    assert "it sees faces of 24x24 pixels in grey, the last 8 of each, 0.1 s apart" in found
    assert main(["read", "--json", "--config", str(affectd.settings_file), str(PORTRAIT)]) == 0
    probabilities = json.loads(capsys.readouterr().out)["faces"][0]["probabilities"]
    assert (probabilities["happy"], probabilities["sad"]) == (0.5, 0.5)


def test_answers_that_are_no_numbers_are_not_read_and_told(broker: Mosquitto, tmp_path: Path) -> None:
    """Its golden samples are small enough; a picture's levels are beyond its numbers."""
    weights = np.full((2, 40, 56, 3), 1e34, np.float32)
    bundle = linear_bundle(
        tmp_path / "overflows", (40, 56, 3), weights, preprocessing=RGB, labels=["happy", "sad"], spread=1e-17
    )
    with Listener(broker, f"{ROOT}/#") as listener, program(tmp_path, broker, bundle) as affectd:
        health = awaited(listener, "health", lambda health: health["models"]["face"]["not_numbers"])
        faces = awaited(listener, "faces", lambda faces: faces["faces"])
        states = [message.json for message in listener.on(f"{ROOT}/state")]
        assert affectd.log.count("answers NaN or infinity, which is not read") == 1
    assert health["status"] == "degraded"
    assert "overflows (float32) answers NaN or infinity" in health["problem"]
    assert faces["faces"][0]["quality"] == 0
    assert faces["picture"]["width"] > 0
    assert {state["emotion"] for state in states} == {None}
