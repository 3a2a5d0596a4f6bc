"""What the broker forgets of a box that has vanished, and keeps of one that is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from affectd.publish.topics import Topics
from e2e.program import DEVICE, RESTLESS, Affectd, environment
from support.broker import Listener, Mosquitto
from support.media import write_clip
from support.scenes import scene
from support.waiting import until

TOPICS = Topics("affectd", DEVICE)
FORGOTTEN = {TOPICS.state, TOPICS.people, TOPICS.health}
STALE_SOON = """
import sys
from affectd.cli.main import main
from affectd.publish import outgoing
outgoing.STALE_S = 3  # instead of a day
sys.exit(main())
"""


def kept(broker: Mosquitto) -> set[str]:
    with Listener(broker, "#") as late:
        late.publish("marker", "behind all that is kept")
        late.wait_for(lambda _: late.on("marker"))
        return {message.topic for message in late.messages if message.retain}


def test_what_is_said_again_stays_and_of_a_box_that_hangs_goes(broker: Mosquitto, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "one.mp4", frames=[scene((320, 220, 170))] * 10, fps=10)
    mqtt = {"heartbeat_s": 1.0, "health_s": 1.0}
    settings = Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"loop": True}, mqtt=mqtt, **RESTLESS)
    line = [sys.executable, "-c", STALE_SOON, "run", "--config", str(settings.settings_file)]
    with subprocess.Popen(line, env=environment(), stderr=subprocess.DEVNULL) as daemon:
        try:
            with Listener(broker, TOPICS.state) as listener:
                # Nothing changes for longer than what is kept would last.
                listener.wait_for(lambda messages: len(messages) >= 8, 60)
            until(lambda: kept(broker) == set(TOPICS.retained), 20)
            os.kill(daemon.pid, signal.SIGSTOP)
            until(lambda: kept(broker) == set(TOPICS.retained) - FORGOTTEN, 20)
        finally:
            daemon.kill()
