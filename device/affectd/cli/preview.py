"""Show the camera's picture with what is read in it to a browser on this box, and to nobody else."""

from __future__ import annotations

import argparse
import platform
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from affectd.cli.options import add_config_option, load_service_config
from affectd.errors import CaptureError

if TYPE_CHECKING:
    from affectd.capture.protocols import Camera
    from affectd.cli.caller import Caller, Farewell
    from affectd.cli.preview_server import NewestPicture
    from affectd.face.reader import FaceReader
    from affectd.service.privacy_sources import PrivacySources

HELP = "show the camera's picture to a browser on this box"
UNWATCHED_S = 300.0
POLL_S = 0.1
CLOSE_S = 2.0
"""How long a camera that hangs may take to close; the end of the process closes it then."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd preview`."""
    add_config_option(parser, default=True)
    parser.add_argument("--port", type=int, default=8090, metavar="N", help="port on 127.0.0.1 (default 8090)")
    parser.add_argument(
        "--unwatched",
        type=float,
        default=UNWATCHED_S,
        metavar="SECONDS",
        help=f"end after so long without a browser (default {UNWATCHED_S:g})",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until the caller ends it or leaves, privacy is switched on, or no browser has watched for a while."""
    from affectd import assembly
    from affectd.cli.caller import Caller
    from affectd.cli.preview_server import NewestPicture, serving

    caller = Caller()
    config = load_service_config(args)
    privacy = assembly.privacy_sources(config)
    privacy.require_off()
    camera = assembly.make_camera(config, assembly.open_clip(config, realtime=True, loop=True))
    model = assembly.open_configured_model(config, "face")
    if camera is None or model is None:
        raise CaptureError("nothing to preview: camera.source or inference.face is off, or the clip has no pictures")
    picture = NewestPicture()
    caller.take_signals()
    with (
        serving(picture, args.port) as port,
        Looking(camera, assembly.make_face_reader(config, model), picture) as look,
    ):
        _introduce(camera.name, port, args.unwatched)
        farewell = _wait(look, privacy, caller, picture, args.unwatched)
    with suppress(OSError):  # the caller may have left
        print(f"affectd: the preview has ended: {farewell.reason}", file=sys.stderr)
    return farewell.exit_code


class Looking:
    """A context manager: a thread opens the camera inside, and has every frame read and shown."""

    def __init__(self, camera: Camera, reader: FaceReader, picture: NewestPicture) -> None:
        """Prepare; nothing is opened yet."""
        self._camera, self._reader, self._picture = camera, reader, picture
        self._stop = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def __enter__(self) -> Looking:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the camera."""
        self._stop.set()
        self._thread.join(CLOSE_S)

    def raise_fault(self) -> None:
        """Raise what ended the thread, such as CaptureError."""
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        from affectd.cli.preview_server import drawn

        try:
            self._camera.open()
            while not self._stop.is_set():
                frame = self._camera.read()
                reading = self._reader.read(frame)
                if self._picture.viewers:
                    self._picture.put(drawn(frame, reading))
        except Exception as fault:
            self._fault = fault
        finally:
            self._camera.close()


def _wait(
    look: Looking, privacy: PrivacySources, caller: Caller, picture: NewestPicture, unwatched_s: float
) -> Farewell:
    """Wait for a reason to end. Raises CaptureError, also when privacy is switched on."""
    from affectd.cli.caller import Farewell

    watched_at = time.monotonic()
    while (farewell := caller.farewell()) is None:
        privacy.require_off()
        look.raise_fault()
        if picture.viewers:
            watched_at = time.monotonic()
        elif time.monotonic() - watched_at > unwatched_s:
            return Farewell(f"no browser has watched for {_duration(unwatched_s)}")
        time.sleep(POLL_S)
    return farewell


def _introduce(camera: str, port: int, unwatched_s: float) -> None:
    print(
        f"http://127.0.0.1:{port}/ shows {camera} to this box only; Ctrl-C ends, or {_duration(unwatched_s)} without a "
        f"browser\nfrom another machine: ssh -L {port}:localhost:{port} {platform.node()}, and there "
        f"http://localhost:{port}/",
        flush=True,
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"
