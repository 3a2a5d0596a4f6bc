"""Nothing leaves the box but what is published, and no file holds a picture or a sound: watched from the kernel."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.completeness import ROOT, count
from e2e.program import RESTLESS, Affectd, command, environment
from support.broker import Listener, Message, Mosquitto
from support.media import speak, write_clip
from support.scenes import scene
from support.sound_server import SoundServer
from support.speech import RATE, speech
from support.stream_server import StreamServer
from support.traced import Trace

DEVICE_SOURCES = Path(__file__).parents[2] / "device"
MAGIC = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG",
    "RIFF (WAV, AVI, WebP)": b"RIFF",
    "Ogg": b"OggS",
    "FLAC": b"fLaC",
    "MP4": b"ftyp",
    "numpy": b"\x93NUMPY",
}
RETAINED = "retained.json"
"""Names of the topics on which something is retained."""
OUTBOX_FILES = ("", ".lock", "-wal", "-shm", "-journal")
BYTES_AN_EVENT, BYTES_OF_NO_EVENT = 20_000, 150_000
"""What the outbox's files may hold: an event touches a few pages of 4 kB, in file and journal. A frame has 230,400."""


class Watched:
    """A run of the daemon under strace with everything on that it could tell, until enough was published."""

    def __init__(self, folder: Path, broker: Mosquitto, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.outbox = folder / "outbox.db"
        program = Affectd(folder, broker, **settings, mqtt={"faces": True, "voice": True}, **RESTLESS)
        line = command("run", "--config", str(program.settings_file))
        variables = {**environment(), "PYTHONDONTWRITEBYTECODE": "1"}
        with Listener(broker, "#") as listener, Trace(folder, line, variables, program.log_file) as self.trace:
            listener.wait_for(enough)
            assert self.trace.end() == 0, program.log
            listener.wait_for(lambda messages: messages[-1] == (f"{ROOT}/availability", b"offline", False))
            self.messages = listener.messages
        assert "Traceback" not in program.log


def enough(messages: list[Message]) -> bool:
    """Whether events, faces, voice and health have all come, some of each."""
    topics = [message.topic.removeprefix(f"{ROOT}/") for message in messages]
    return all(topics.count(topic) >= 3 for topic in ("event", "faces", "voice")) and "health" in topics


def assert_no_media(files: set[Path], events: int) -> None:
    """No file holds the beginning of a picture or a sound, and all together no more than events can be."""
    for file in files:
        content = file.read_bytes()
        for kind, magic in MAGIC.items():
            assert magic not in content, f"{file} holds {kind}"
    total = sum(file.stat().st_size for file in files)
    assert total <= BYTES_OF_NO_EVENT + BYTES_AN_EVENT * events


def assert_published_only(watched: Watched, broker: Mosquitto) -> None:
    """What went to the broker is what a subscriber of everything got, and little around it."""
    got = sum(len(message.topic) + len(message.payload) + 16 for message in watched.messages)
    (sent,) = (size for place, size in watched.trace.sent().items() if place.endswith(f":{broker.port}"))
    assert got / 2 < sent < 1.2 * got + 2000


NULL = {"/dev/null", "/dev/null<char 1:3>"}
"""As strace names it in Python and in git."""


def assert_no_program(trace: Trace) -> None:
    """None but Python, what numpy.testing asks about the processor, and git, which a checkout asks for its commit."""
    started = {Path(program).name for program in trace.programs()}
    assert started - {"lscpu", "git"} == {Path(sys.executable).name}


def allowed(broker: Mosquitto) -> set[str]:
    """Connections that every run may make: to the broker, by either address, and to the C library's name cache."""
    addresses = {f"{kind} {host}:{broker.port}" for kind in ("tcp", "udp") for host in ("127.0.0.1", "::1")}
    return addresses | {"unix /var/run/nscd/socket"}


def wakes_itself(trace: Trace) -> set[str]:
    """Connections to its own loopback port: how paho's network thread is woken."""
    own = {call["arguments"].partition("127.0.0.1:")[2].partition("]")[0] for call in trace.calls("listen")}
    assert all(port.isdecimal() for port in own), "it listens elsewhere than on 127.0.0.1"
    return {f"tcp 127.0.0.1:{port}" for port in own}


def test_a_clip_run_talks_to_the_broker_alone_and_writes_the_outbox_alone(broker: Mosquitto, tmp_path: Path) -> None:
    sound = speech(tmp_path, "Good morning, here I am again.").astype("int16")
    person, nobody = scene((320, 220, 170)), scene()
    clip = write_clip(
        tmp_path / "clip.mp4", frames=[*[person] * 10, *[nobody] * 10], fps=10, sound=sound, sample_rate=RATE
    )
    watched = Watched(tmp_path, broker, {"camera": {"source": str(clip)}, "clip": {"loop": True}})
    trace = watched.trace
    assert f"tcp 127.0.0.1:{broker.port}" in trace.connections()
    assert trace.connections() <= allowed(broker) | wakes_itself(trace)
    assert trace.datagrams() == set()
    assert_published_only(watched, broker)
    outbox_files = {f"{watched.outbox}{suffix}" for suffix in OUTBOX_FILES} | {str(watched.outbox.with_name(RETAINED))}
    assert str(watched.outbox) in trace.written()
    assert trace.written() <= outbox_files | NULL
    assert not list(trace.calls("memfd_create", "shmget", "io_uring_setup", "process_vm_writev"))
    assert_no_media({Path(file) for file in outbox_files if Path(file).exists()}, count(watched.messages))
    assert_no_program(trace)


def test_a_stream_and_a_microphone_are_all_that_is_added(
    broker: Mosquitto, sound_server: SoundServer, tmp_path: Path
) -> None:
    with StreamServer() as camera:
        for _ in range(3):
            sound_server.play(speak(tmp_path / "speech.wav", "Good morning, here I am again, and I go on and on."))
        watched = Watched(tmp_path, broker, {"camera": {"source": camera.url}, "microphone": {"source": "default"}})
    trace = watched.trace
    stream = f"tcp 127.0.0.1:{camera.port}"
    server = "unix " + sound_server.env["PULSE_SERVER"].removeprefix("unix:")
    assert {stream, server, f"tcp 127.0.0.1:{broker.port}"} <= trace.connections()
    # PortAudio asks for a JACK server too; there is none, or it is on this box as well.
    jack = {place for place in trace.connections() if place.startswith("unix /dev/shm/jack")}
    assert trace.connections() <= allowed(broker) | wakes_itself(trace) | {stream, server} | jack
    assert trace.datagrams() == set()
    assert trace.sent()[f"127.0.0.1:{camera.port}"] < 1000 * len(list(trace.calls("connect")))  # requests
    assert_published_only(watched, broker)
    outbox_files = {f"{watched.outbox}{suffix}" for suffix in OUTBOX_FILES} | {str(watched.outbox.with_name(RETAINED))}
    # The sound server's client shares memory with the server; JACK's keeps a directory of programs.
    jack_files = {file for file in trace.written() if file.startswith("/dev/shm/jack")}
    assert trace.written() <= outbox_files | NULL | jack_files
    assert {call["arguments"].split('"')[1] for call in trace.calls("memfd_create")} <= {"pulseaudio"}
    assert_no_media({Path(file) for file in outbox_files if Path(file).exists()}, count(watched.messages))
    assert_no_program(trace)


# The sources.

STARTS_PROGRAMS = {
    "affectd/cli/bench/daemon.py",  # affectd itself, to measure it
    "affectd/cli/bench/alone.py",
    "affectd/cli/bench/broker.py",
    "affectd/inference/accelerators/trial.py",  # affectd itself, to try an accelerator
    "affectd/version.py",  # git, in a checkout only
    "affectd/face/blazeface_fetch.py",  # pip, for `affectd fetch` alone
}
TAKES_C_LIBRARIES = {
    "affectd/inference/accelerators/external.py",  # looks into a delegate before it is loaded
    "affectd/capture/microphone/portaudio.py",  # silences ALSA's lookups
    "affectd/capture/microphone/alsa_card.py",  # asks a card for its formats, for `affectd microphones` alone
    "affectd/capture/v4l2/ioctl.py",  # the structures that the kernel takes
    "affectd/capture/v4l2/device.py",
    "affectd/capture/v4l2/stream.py",
    "affectd/publish/clock.py",  # asks the kernel whether the clock is synchronized
}
TALKS = {
    "affectd/publish/connection.py",  # to the broker
    "affectd/publish/tls.py",
    "affectd/publish/certificate_errors.py",  # looks at the broker's certificate
    "affectd/publish/connect_errors.py",
    "affectd/service/notify.py",  # to systemd, over a local socket
    "affectd/cli/preview/server.py",  # to a browser on 127.0.0.1, while a person asks for it
    "affectd/cli/embedded_broker.py",  # the demo's broker, on 127.0.0.1
    "affectd/cli/bench/broker.py",
}
FORBIDDEN: dict[str, set[str]] = {
    "pickle cPickle dill shelve marshal joblib": set(),
    "subprocess pty multiprocessing": STARTS_PROGRAMS,
    "ctypes cffi": TAKES_C_LIBRARIES,
    "ftplib smtplib telnetlib urllib requests httpx aiohttp http xmlrpc webbrowser asyncio": TALKS,
    "socket socketserver ssl": TALKS,
    "wave sndhdr soundfile PIL imageio": set(),
}
CALLS_FORBIDDEN = {
    "os.system", "os.popen", "os.spawnl", "os.spawnv", "os.fork", "os.execv", "eval", "exec", "compile",
    "cv2.imwrite", "cv2.imencode", "cv2.VideoWriter", "np.save", "np.savez", "np.load", "numpy.save",
}  # fmt: skip
CALLS_NAMED = {
    "affectd/cli/preview/feeds.py": {"cv2.imencode"},  # the picture for the person's own browser
    "affectd/cli/annotation.py": {"cv2.imencode"},  # the person's own photograph, for `affectd read --annotate`
    "affectd/inference/golden.py": {"np.load"},  # golden samples, allow_pickle=False
}


def sources() -> list[Path]:
    return sorted((DEVICE_SOURCES / "affectd").rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Return the top-level modules that the source imports, wherever in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return names


def called(tree: ast.AST) -> set[str]:
    """Return the dotted names that the source calls."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("modules", FORBIDDEN)
def test_device_imports_only_what_is_named(modules: str) -> None:
    users = {
        str(path.relative_to(DEVICE_SOURCES))
        for path in sources()
        if imported(ast.parse(path.read_text())) & set(modules.split())
    }
    assert users <= FORBIDDEN[modules]


def test_device_calls_no_shell_and_writes_no_picture_or_sound() -> None:
    assert len(sources()) > 50
    for path in sources():
        tree, name = ast.parse(path.read_text()), str(path.relative_to(DEVICE_SOURCES))
        assert called(tree) & CALLS_FORBIDDEN <= CALLS_NAMED.get(name, set()), name
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in {"shell", "allow_pickle"}:
                assert isinstance(node.value, ast.Constant) and node.value.value is False, name
