"""Microphones and sound servers that freeze, fall silent, overdrive, know other rates, or come and go.

The face goes on, health and log say what it is, and the voice is back soon after the fault is over.
"""

from __future__ import annotations

import signal
import time
import wave
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly

from affectd import assembly
from affectd.config import Config
from affectd.events import VOICE_LABELS, AudioChunk
from affectd.resample import MonoResampler
from e2e import completeness
from e2e.program import Affectd
from e2e.sound import (
    EVENT,
    LISTENING,
    ROOT,
    STATE,
    events,
    health,
    heard,
    microphone,
    readings,
    speech,
    wait_until_it_is,
)
from support.broker import Listener, Message, Mosquitto
from support.fault_table import FaultTable
from support.media import read_wav
from support.preloads import build_preload
from support.sound_server import SoundServer
from support.speech import RATE
from support.stream_server import StreamServer
from support.waiting import until

WITHOUT_CAMERA: dict[str, Any] = {**LISTENING, "camera": {"source": "off"}, "inference": {"face": "off"}}


def write_wav(path: Path, samples: NDArray[np.float64]) -> Path:
    """Write (n,) mono samples at 16 kHz; what is beyond 16 bits is cut off."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes())
    return path


def goes_on(listener: Listener, count: int = 3) -> None:
    """Wait for so many more events."""
    start = len(listener.messages)
    listener.wait_for(lambda messages: len(events(messages, start)) >= count)


def test_a_sound_server_that_freezes_is_named_and_heard_again_when_it_thaws(
    sound_server: SoundServer, broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        StreamServer() as camera,
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, camera={"source": camera.url}, **LISTENING) as daemon,
    ):
        listener.wait_for(readings)
        sound_server.freeze()
        frozen = len(listener.messages)
        listener.wait_for(lambda m: "has not answered" in str(microphone(m, frozen).get("last_error")))
        goes_on(listener)
        told = microphone(listener.messages)
        assert told["state"] in {"waiting", "starting"}
        assert health(listener.messages)["status"] == "degraded"
        thawed = len(listener.messages)
        sound_server.thaw()
        back = time.monotonic()
        listener.wait_for(lambda messages: readings(messages, thawed))
        recovered_s = time.monotonic() - back
        wait_until_it_is("running", listener, thawed)
        completeness.stop(daemon, listener)
        repeated = completeness.assert_complete(events(listener.messages), daemon.outbox)
    assert daemon.log.count("has not answered") <= 2  # said once, not at every try; a busy machine may be slow to start
    assert "jack" not in daemon.log.lower()  # nor what libraries print at every try
    assert "Traceback" not in daemon.log
    fault_table.record("sound server frozen and thawed", recovered_s=recovered_s, lost=0, repeated=repeated)


def test_a_frozen_sound_server_does_not_hold_up_the_end(
    sound_server: SoundServer, broker: Mosquitto, tmp_path: Path
) -> None:
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **WITHOUT_CAMERA) as daemon:
        listener.wait_for(readings)
        sound_server.freeze()
        daemon.send(signal.SIGTERM)
        assert daemon.wait() == 0, daemon.log
        listener.wait_for(lambda messages: messages[-1].payload == b"offline")
    assert "Traceback" not in daemon.log


def test_a_muted_microphone_is_told_and_makes_no_emotion(
    sound_server: SoundServer, broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **WITHOUT_CAMERA) as daemon:
        listener.wait_for(readings)
        words = speech(tmp_path, 4)
        sound_server.play(words)
        listener.wait_for(heard)
        spoken = health(listener.wait_for(lambda messages: health(messages).get("microphone_level_db", -100) > -60))
        assert (spoken["status"], spoken["microphone_notice"]) == ("ok", None)

        sound_server.mute(True)
        told = health(listener.wait_for(lambda messages: health(messages)["microphone_notice"]))
        assert "digital silence" in told["microphone_notice"]
        assert (told["status"], told["microphone_level_db"]) == ("degraded", -100)
        assert told["components"]["microphone"]["state"] == "running"
        muted = len(listener.messages)
        silence = listener.wait_for(lambda messages: len(readings(messages, muted)) >= 4)
        assert not heard(silence, muted)
        assert [message for message in silence if message.topic == STATE][-1].json["emotion"] is None
        assert daemon.log.count("digital silence") == 1

        loud = len(listener.messages)
        sound_server.play(words)
        sound_server.mute(False)
        back = time.monotonic()
        listener.wait_for(lambda messages: heard(messages, loud))
        recovered_s = time.monotonic() - back
        told = health(listener.wait_for(lambda messages: health(messages, loud).get("status") == "ok"), loud)
        assert told["microphone_notice"] is None
        assert daemon.runs
    assert "sounds right again" in daemon.log
    assert "Traceback" not in daemon.log
    fault_table.record("microphone silent", recovered_s=recovered_s, lost=0, remark="told after 10 s of zeros")


def test_an_overdriven_microphone_is_told_and_counts_for_less(
    sound_server: SoundServer, broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    rate, said = read_wav(speech(tmp_path, 1))
    fine = MonoResampler(rate, 1).process(said).astype(np.float64)
    fine *= 8_000 / np.abs(fine).max()
    played = write_wav(tmp_path / "fine.wav", fine), write_wav(tmp_path / "overdriven.wav", 60 * fine)
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **WITHOUT_CAMERA) as daemon:
        listener.wait_for(readings)
        quality = []
        for wav in played:
            before = len(listener.messages)
            sound_server.play(wav)
            heard_all = listener.wait_for(lambda messages, before=before: len(heard(messages, before)) >= 5)
            quality.append(heard(heard_all, before)[-1].json["quality"])
            notice = health(listener.wait_for(lambda messages, before=before: health(messages, before)))[
                "microphone_notice"
            ]
            if wav is played[0]:
                assert notice is None
                listener.wait_for(lambda messages: not readings(messages)[-1].json["active"])
        told = health(listener.wait_for(lambda messages: health(messages)["microphone_notice"]))
        assert "overdriven" in told["microphone_notice"]
        assert daemon.runs
    assert quality[1] < 0.6 * quality[0]
    assert daemon.log.count("turn its gain down") == 1
    assert "Traceback" not in daemon.log
    remark = f"told; quality {quality[1]:.2f} instead of {quality[0]:.2f}"
    fault_table.record("microphone overdriven", recovered_s=None, lost=0, remark=remark)


@pytest.mark.parametrize("rate", [44_100, 8_000])
def test_a_microphone_that_knows_one_rate_alone_is_converted(
    rate: int, broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_table: FaultTable
) -> None:
    words = speech(tmp_path, 1)
    monkeypatch.setenv("LD_PRELOAD", build_preload("one_rate", tmp_path))
    monkeypatch.setenv("ONE_RATE", str(rate))
    with (
        SoundServer(rate) as sound_server,
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, **WITHOUT_CAMERA) as daemon,
    ):
        listener.wait_for(readings)
        player = sound_server.play(words)
        until(lambda: player.poll() is not None)
        listener.wait_for(lambda messages: not readings(messages)[-1].json["active"])
        live = [message.json["probabilities"] for message in heard(listener.messages)]
    assert len(live) > 6
    mean = np.mean([[reading[label] for label in VOICE_LABELS] for reading in live], axis=0)
    difference = float(np.abs(mean - mean_answer(words, rate)).sum() / 2)
    assert difference < 0.2
    assert f"opened 'default', {rate} Hz" in daemon.log
    assert ("less sure" in daemon.log) == (rate < RATE)
    assert "Traceback" not in daemon.log
    remark = f"answers differ by {difference:.2f} (of 1) from those to the recording"
    fault_table.record(f"microphone that knows {rate} Hz alone", recovered_s=None, lost=0, remark=remark)


def mean_answer(wav: Path, rate: int) -> NDArray[np.float64]:
    """Return what the voice model says on average of a file that a microphone of this rate hears; (8,)."""
    own_rate, samples = read_wav(wav)
    at_its_rate = np.asarray(resample_poly(samples.astype(np.float64), rate // 50, own_rate // 50))
    samples = MonoResampler(rate, 1).process(np.clip(np.rint(at_its_rate), -32768, 32767).astype(np.int16))
    model = assembly.open_configured_model(Config(), "voice")
    assert model is not None
    quiet = np.zeros(2 * RATE, np.int16)
    given = assembly.make_voice_reader(Config(), model).feed(AudioChunk(np.concatenate([quiet, samples]), RATE, 100.0))
    return np.asarray(np.mean([reading.probabilities for reading in given if reading.active], axis=0))


def test_a_microphone_that_comes_late_goes_and_returns_leaves_the_face_to_go_on(
    sound_server: SoundServer, broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    words = speech(tmp_path, 6)
    sound_server.unplug()
    with (
        StreamServer() as camera,
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, camera={"source": camera.url}, **LISTENING) as daemon,
    ):
        assert "microphone default" in wait_until_it_is("waiting", listener)["last_error"]
        goes_on(listener)
        came_s, _ = plug_in(sound_server, listener)
        sound_server.play(words)
        listener.wait_for(lambda messages: any(says_both(message.json) for message in states(messages)))

        pulled, pulled_at = len(listener.messages), datetime.now(timezone.utc)
        restarts = microphone(listener.messages)["restarts"]
        sound_server.unplug()
        told = wait_until_it_is("waiting", listener, pulled)
        assert told["restarts"] > restarts
        assert "microphone default" in told["last_error"]
        assert abs((datetime.fromisoformat(told["since"].replace("Z", "+00:00")) - pulled_at).total_seconds()) < 30
        alone = len(listener.messages)
        goes_on(listener, 5)
        last = events(listener.messages, alone)[-1].json
        assert not last["voice"]["active"]
        assert last["agreement"] in {"single", "none"}
        face = health(listener.messages)["components"]["camera"]
        assert (face["state"], face["restarts"]) == ("running", 0)

        back_s, returned = plug_in(sound_server, listener)
        sound_server.play(words)
        listener.wait_for(lambda messages: any(says_both(message.json) for message in states(messages, returned)))
        completeness.stop(daemon, listener)
        repeated = completeness.assert_complete(events(listener.messages), daemon.outbox)
    assert "Traceback" not in daemon.log
    fault_table.record("microphone not there at start", recovered_s=came_s, lost=0, repeated=repeated)
    fault_table.record("microphone unplugged and plugged in again", recovered_s=back_s, lost=0, repeated=repeated)


def plug_in(sound_server: SoundServer, listener: Listener) -> tuple[float, int]:
    """Plug the microphone in; give how long it took until it was heard, and how many messages were there before."""
    before = len(listener.messages)
    sound_server.plug_in()
    back = time.monotonic()
    listener.wait_for(lambda messages: readings(messages, before))
    recovered_s = time.monotonic() - back
    wait_until_it_is("running", listener, before)
    return recovered_s, before


def states(messages: list[Message], after: int = 0) -> list[Message]:
    """Return the fused states and events past the first `after` messages."""
    return [message for message in messages[after:] if message.topic in {STATE, EVENT}]


def says_both(document: dict[str, Any]) -> bool:
    """Whether face and voice were fused in it."""
    return bool(document["face"]["present"] and document["voice"]["active"])
