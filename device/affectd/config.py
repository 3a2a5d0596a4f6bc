"""Every setting of the daemon, declared once with its doc, default and limits, as frozen dataclasses.

`config_file.py` reads TOML, environment and credentials into `Config`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from affectd.capture.naming import is_clip, microphone_fault
from affectd.config_rules import host_fault, prefix_fault, topic_fault


def setting(
    default: Any,
    doc: str,
    *,
    choices: Sequence[str | int] = (),
    low: float | None = None,
    high: float | None = None,
    pattern: str = "",
    fault: Callable[[str], str] | None = None,
    path: Callable[[str], bool] | None = None,
    secret: bool = False,
) -> Any:
    """Declare one key: its default, its doc (one or two sentences) and what is allowed.

    `pattern` is a regular expression that the whole string must match; `fault` returns what is wrong with a string, as
    it follows the value, or nothing; `path` tells whether a string is a path, which is then made absolute (`bool`:
    any that is not empty); a `secret` is never printed.
    """
    metadata = {
        "doc": doc,
        "choices": tuple(choices),
        "low": low,
        "high": high,
        "pattern": pattern,
        "fault": fault,
        "path": path,
        "secret": secret,
    }
    return dataclasses.field(default=default, metadata=metadata)


def _is_library_path(delegate: str) -> bool:
    """Whether a delegate is a path; a name alone is looked for where the system's libraries are."""
    return "/" in delegate or delegate.startswith("~")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """Who this box is."""

    id: str = setting(
        "",
        "Name in topics and client id: letters, digits, - and _. Empty: the host name and a number of this machine's "
        "own; 'affectd check' shows it.",
        pattern=r"[A-Za-z0-9_-]{0,64}",
    )
    name: str = setting("", "Name that people see in Home Assistant. Empty: 'affectd' and the id.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """Where pictures come from."""

    source: str = setting(
        "auto",
        "'auto' (Raspberry Pi camera if there is one, else the first V4L2 camera), 'picamera', 'off', a number, a "
        "path below /dev/, an rtsp:// or http:// address, or a clip's path.",
        path=is_clip,
    )
    width: int = setting(640, "Picture width asked of the camera, pixels.", low=160, high=4096)
    height: int = setting(480, "Picture height asked of the camera, pixels.", low=120, high=4096)
    fps: float = setting(10.0, "Frames a second to work on.", low=0.5, high=60)
    timeout_s: float = setting(5.0, "A camera silent for this long is reopened.", low=0.5, high=120)
    still_s: float = setting(
        60.0,
        "A picture that stays the same to the bit for this long is a frozen camera's, and counts as none; 0: never.",
        low=0,
        high=86_400,
    )
    rotate: int = setting(
        0,
        "Degrees clockwise by which the picture is turned, for a camera mounted on its side or upside down.",
        choices=(0, 90, 180, 270),
    )
    mirror: bool = setting(False, "Swap left and right, after turning.")
    pixel_aspect: str = setting(
        "auto",
        "Width to height of one pixel (not of the picture), such as '16:11' for 720x576 of a wide PAL camera. 'auto': "
        "as the stream or clip says, else square.",
    )

    @property
    def pixel_ratio(self) -> Fraction | None:
        """Width over height of one pixel; None for 'auto'. Raises ValueError where it is neither that nor W:H."""
        if self.pixel_aspect == "auto":
            return None
        sides = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", self.pixel_aspect)
        width, height = (int(side) for side in sides.groups()) if sides else (0, 0)
        if not 0 < height <= 8 * width <= 64 * height:
            raise ValueError('must be "auto", or width:height of one pixel from "1:8" to "8:1", such as "16:11"')
        return Fraction(width, height)


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneConfig:
    """Where sound comes from."""

    source: str = setting(
        "auto",
        "'auto' (the clip's sound track when the camera is a clip, else the default input), 'default', 'off', or part "
        "of an input device's name.",
        fault=microphone_fault,
    )
    timeout_s: float = setting(5.0, "A microphone silent in callbacks for this long is reopened.", low=0.5, high=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipConfig:
    """How a recorded clip is played when it stands in for camera and microphone."""

    realtime: bool = setting(True, "Play at the clip's own pace; false: as fast as the pipeline can, dropping nothing.")
    loop: bool = setting(False, "Start again at the end; false: stop when the clip ends.")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceConfig:
    """Which models run, and on what."""

    models: str = setting("", "Folder of bundles. Empty: the one that came with affectd.", path=bool)
    face: str = setting("face-vgg16", "Bundle for faces; 'off' for none.")
    voice: str = setting("voice-cnn-lstm", "Bundle for voices; 'off' for none.")
    variant: str = setting("int8", "Which variant of the models.", choices=("float32", "float16", "dynamic", "int8"))
    runtime: str = setting(
        "auto", "'auto' takes LiteRT where it is installed.", choices=("auto", "litert", "tflite-runtime")
    )
    delegate: str = setting(
        "cpu",
        "'cpu', 'edgetpu', or a TFLite delegate library's path. One that fails or answers wrongly is left for the CPU.",
        path=_is_library_path,
    )
    threads: int = setting(1, "Threads of one model.", low=1, high=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceConfig:
    """How faces are found."""

    detector: str = setting(
        "haar",
        "'haar' comes with OpenCV. 'blazeface' is faster and sees tilted and dim faces; 'affectd fetch blazeface' "
        "fetches its file.",
        choices=("haar", "blazeface"),
    )
    detect_every: int = setting(5, "Run the detector on every n-th frame and track in between.", low=1, high=100)
    min_size: float = setting(0.1, "Smallest face, as a fraction of the picture's height.", low=0.03, high=1)
    max_faces: int = setting(3, "Faces classified in one frame, largest first.", low=1, high=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceConfig:
    """How speech is heard."""

    hop_s: float = setting(0.5, "Seconds between two voice readings.", low=0.1, high=5)
    activity: str = setting(
        "auto",
        "How speech is told from other sound: by 'silero', a small network, or by 'level' and voicing, which takes "
        "music and alarms for speech. 'auto' takes Silero where it is installed.",
        choices=("auto", "silero", "level"),
    )
    min_snr_db: float = setting(
        -10.0, "A voice that is less than this over the background is taken for none.", low=-10, high=40
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionConfig:
    """How face and voice become one emotion, and when a change is an event."""

    strategy: str = setting(
        "adaptive",
        "How face and voice are combined.",
        choices=("weighted_average", "hybrid", "adaptive", "face", "voice"),
    )
    face_weight: float = setting(0.6, "Weight of the face in weighted_average; the voice has the rest.", low=0, high=1)
    enter: float = setting(0.5, "An emotion begins when its smoothed probability reaches this.", low=0.2, high=0.99)
    leave: float = setting(0.35, "It may end when its probability falls below this.", low=0.05, high=0.98)
    dwell_s: float = setting(0.8, "A new emotion must lead for this long before it is an event.", low=0, high=60)
    half_life_s: float = setting(
        1.0, "Memory of the smoothing: an emotion persists with this half-life.", low=0.05, high=60
    )
    absent_s: float = setting(2.0, "Without evidence for this long nobody is there.", low=0.2, high=600)
    people: str = setting(
        "front",
        "Whose changes are events: those of the person in front, or of all in view. /people has everybody anyway.",
        choices=("front", "all"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig:
    """The broker and what is published to it."""

    host: str = setting("localhost", "The broker's host name or address.", fault=host_fault)
    port: int = setting(1883, "The broker's port; 8883 is usual with TLS.", low=1, high=65535)
    tls: bool = setting(False, "Encrypt, and check the broker's certificate and host name.")
    ca_file: str = setting("", "CA certificate (PEM) to trust instead of the system's.", path=bool)
    cert_file: str = setting("", "Client certificate (PEM).", path=bool)
    key_file: str = setting("", "Key of the client certificate (PEM).", path=bool)
    username: str = setting("", "User name. Empty: the device's id when there is a password, else none.")
    password_file: str = setting(
        "",
        "File that holds the password. Empty: the systemd credential 'mqtt-password' when there is one.",
        path=bool,
        secret=True,
    )
    base_topic: str = setting("affectd", "First part of every topic.", fault=topic_fault)
    discovery_prefix: str = setting(
        "homeassistant", "Home Assistant's discovery prefix; empty turns discovery off.", fault=prefix_fault
    )
    faces: bool = setting(False, "Publish per-face readings on /faces.")
    voice: bool = setting(False, "Publish voice readings on /voice.")
    heartbeat_s: float = setting(30.0, "Publish /state and /people at least this often.", low=1, high=3600)
    health_s: float = setting(30.0, "Publish /health this often, and whenever a part changes.", low=1, high=3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxConfig:
    """Events that the broker has not acknowledged yet, on disk."""

    path: str = setting(
        "",
        "SQLite file; the last privacy command is kept beside it. Empty: $STATE_DIRECTORY/outbox.db under systemd, "
        "else ~/.local/state/affectd/outbox.db.",
        path=bool,
    )
    max_events: int = setting(
        50_000, "Events kept; beyond this the oldest is dropped and counted.", low=10, high=10_000_000
    )
    max_mb: float = setting(
        64.0, "Megabytes kept; beyond this the oldest is dropped and counted.", low=0.1, high=10_000
    )
    replay_per_s: float = setting(
        500.0,
        "Events sent a second at most, in order: a new one waits for those before it. The pace begins at 50, rises "
        "while the broker acknowledges promptly and falls when it does not.",
        low=1,
        high=100_000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyConfig:
    """The switch that closes camera and microphone."""

    start_on: bool = setting(
        False, "Closed before the first command; the last command is remembered and holds over restarts."
    )
    switch_file: str = setting(
        "",
        "File (such as a GPIO's value) read twice a second; '1' closes camera and microphone. Empty: none.",
        path=bool,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings; each table of the TOML file is one field."""

    device: DeviceConfig = DeviceConfig()
    camera: CameraConfig = CameraConfig()
    microphone: MicrophoneConfig = MicrophoneConfig()
    clip: ClipConfig = ClipConfig()
    inference: InferenceConfig = InferenceConfig()
    face: FaceConfig = FaceConfig()
    voice: VoiceConfig = VoiceConfig()
    fusion: FusionConfig = FusionConfig()
    mqtt: MqttConfig = MqttConfig()
    outbox: OutboxConfig = OutboxConfig()
    privacy: PrivacyConfig = PrivacyConfig()
