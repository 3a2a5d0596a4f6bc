"""Speech in the air becomes a voice reading at an MQTT client: PyAudio captures it from a real sound server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from e2e import completeness
from e2e.program import Affectd
from e2e.sound import LISTENING, ROOT, events, heard, readings, speech, wait_until_it_is
from support.broker import Listener, Mosquitto
from support.fault_table import FaultTable
from support.sound_server import SoundServer
from support.stream_server import StreamServer


def test_speech_becomes_readings_before_and_after_the_sound_server_died(
    sound_server: SoundServer, broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    words = speech(tmp_path)
    with (
        StreamServer() as camera,
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, camera={"source": camera.url}, **LISTENING) as daemon,
    ):
        silence = listener.wait_for(readings)
        assert not heard(silence)
        sound_server.play(words)
        reading = heard(listener.wait_for(heard))[0].json
        assert sum(reading["probabilities"].values()) == pytest.approx(1, abs=0.01)
        assert 0 < reading["quality"] <= 1

        dead = len(listener.messages)
        sound_server.kill()
        wait_until_it_is("waiting", listener, dead)
        listener.wait_for(lambda messages: len(events(messages, dead)) >= 3)  # the face goes on alone
        again = len(listener.messages)
        sound_server.restart()
        back = time.monotonic()
        listener.wait_for(lambda messages: readings(messages, again))
        recovered_s = time.monotonic() - back
        assert wait_until_it_is("running", listener, again)["restarts"] >= 1
        sound_server.play(words)
        assert heard(listener.wait_for(lambda messages: heard(messages, again)), again)[0].json["probabilities"]
        completeness.stop(daemon, listener)
        repeated = completeness.assert_complete(events(listener.messages), daemon.outbox)
    assert "Traceback" not in daemon.log
    fault_table.record("sound server killed and restarted", recovered_s=recovered_s, lost=0, repeated=repeated)
