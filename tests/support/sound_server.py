"""A PulseAudio server of the test's own: what is played to its sink is what its microphone hears."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

ASOUND_CONF = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse hint { show on description "affectd test" } }
ctl.!default { type pulse }
"""
ALSA_CHANNELS = (
    "front-left",
    "front-right",
    "rear-left",
    "rear-right",
    "front-center",
    "lfe",
    "side-left",
    "side-right",
)
"""The order in which ALSA numbers them."""


class SoundServer:
    """Starts on entering, stops on leaving; `env` names it to PortAudio, here and in subprocesses.

    `rate`, `channels` and `sample_format` are the sound card's own: what programs ask for beyond that, the server
    converts.
    """

    def __init__(self, rate: int = 16_000, *, channels: int = 1, sample_format: str = "s16le") -> None:
        self._layout = f"rate={rate} channels={channels} format={sample_format}"
        self._channel_map = ",".join(ALSA_CHANNELS[:channels]) if channels > 1 else "mono"
        # A short folder: the path of a Unix socket may have 107 bytes.
        self._home = Path(tempfile.mkdtemp(prefix="affectd-sound-"))
        self._server: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []
        self._environment_before: dict[str, str | None] = {}
        config = self._home / "asound.conf"
        config.write_text(ASOUND_CONF)
        self.env = {"PULSE_SERVER": f"unix:{self._home}/native", "ALSA_CONFIG_PATH": str(config)}

    def __enter__(self) -> SoundServer:
        self._environment_before = {key: os.environ.get(key) for key in self.env}
        os.environ.update(self.env)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for player in self._players:
            player.kill()
            player.wait()
        self.kill()
        for key, value in self._environment_before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
        shutil.rmtree(self._home, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until its microphone is the default input."""
        modules = [f"module-native-protocol-unix socket={self._home}/native auth-anonymous=1", *self._card()]
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit=1", "--use-pid-file=no"]
        self._server = subprocess.Popen(
            ["pulseaudio", *options, *(part for module in modules for part in ("-L", module))],
            env={**os.environ, "HOME": str(self._home), "XDG_RUNTIME_DIR": str(self._home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while self._control("set-default-source", "microphone") != 0:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("pulseaudio did not start")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def restart(self) -> None:
        """Start again after a kill."""
        self.kill()
        (self._home / "native").unlink(missing_ok=True)
        self.start()

    def freeze(self) -> None:
        """Stop it in its tracks: it keeps its connections, and answers nobody."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._send(signal.SIGCONT)

    def unplug(self) -> None:
        """Take the sound card away, microphone and all; the server stays."""
        assert self._control("unload-module", "module-remap-source") == 0
        assert self._control("unload-module", "module-null-sink") == 0

    def plug_in(self) -> None:
        """Bring the sound card back after `unplug`."""
        for module in self._card():
            assert self._control("load-module", *module.split()) == 0
        assert self._control("set-default-source", "microphone") == 0

    def mute(self, on: bool) -> None:
        """Press the microphone's mute button: it gives zeros from now on, or sound again."""
        assert self._control("set-source-mute", "microphone", str(int(on))) == 0

    def suspend(self) -> None:
        """Silence the microphone without a word, as pulling out a sound card does."""
        self._control("suspend-source", "microphone", "1")
        self._control("suspend-source", "speaker.monitor", "1")

    def play(self, wav: Path) -> subprocess.Popen[bytes]:
        """Play a file to the microphone, in the background."""
        mapped = [] if self._channel_map == "mono" else [f"--channel-map={self._channel_map}"]
        player = subprocess.Popen(["paplay", "-d", "speaker", *mapped, str(wav)], env={**os.environ, **self.env})
        self._players.append(player)
        return player

    def _card(self) -> list[str]:
        return [
            f"module-null-sink sink_name=speaker {self._layout} channel_map={self._channel_map}",
            "module-remap-source source_name=microphone master=speaker.monitor",
        ]

    def _send(self, number: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(number)

    def _control(self, *command: str) -> int:
        return subprocess.run(
            ["pactl", *command], env={**os.environ, **self.env}, capture_output=True, check=False, timeout=10
        ).returncode
