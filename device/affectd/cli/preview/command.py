"""Show camera, microphone and their readings to a browser on this box, and to nobody else."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from affectd.cli.options import add_config_option, load_service_config
from affectd.errors import AffectdError, CaptureError

if TYPE_CHECKING:
    from affectd.cli.exit_monitor import ExitMonitor, ExitReason
    from affectd.cli.preview.feeds import Feed
    from affectd.cli.preview.view import View
    from affectd.config import Config
    from affectd.service.privacy_sources import PrivacySources

HELP = "show a browser on this box what camera and microphone give, to aim them"
UNWATCHED_S = 300.0
POLL_S = 0.1
LAST_WORD_S = 0.5
"""Time within which a browser polls again."""


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
    from affectd.cli.exit_monitor import ExitMonitor
    from affectd.cli.preview.server import serving
    from affectd.cli.preview.view import View

    monitor = ExitMonitor()
    config = load_service_config(args)
    privacy = assembly.privacy_sources(config)
    privacy.require_off()
    view = View()
    feeds = _feeds(config, view)
    monitor.take_signals()
    with serving(view, args.port) as port:
        try:
            with ExitStack() as devices:
                for feed in feeds:
                    devices.enter_context(feed)
                _print_address(" and ".join(dict.fromkeys(feed.device for feed in feeds)), port, args.unwatched)
                ending = _wait(feeds, privacy, monitor, view, args.unwatched)
        except AffectdError as error:
            _notify_browsers(view, str(error))
            raise
        _notify_browsers(view, ending.reason)
    with suppress(OSError):  # the caller may have left
        print(f"affectd: the preview has ended: {ending.reason}", file=sys.stderr)
    return ending.exit_code


def _feeds(config: Config, view: View) -> list[Feed]:
    """Build what looks and what listens; nothing is opened yet. Raises CaptureError when there is neither."""
    from affectd import assembly
    from affectd.cli.preview.feeds import CameraFeed, MicrophoneFeed

    feeds: list[Feed] = []
    clip = assembly.open_clip(config, realtime=True, loop=True)
    face = assembly.open_configured_model(config, "face")
    camera = assembly.make_camera(config, clip, colour=True)  # for the person who aims it
    if camera is not None and face is not None:
        feeds.append(CameraFeed(camera, assembly.make_face_reader(config, face), view, config))
    microphone = assembly.make_microphone(config, clip)
    if microphone is not None:
        voice = assembly.open_configured_model(config, "voice")
        reader = None if voice is None else assembly.make_voice_reader(config, voice)
        feeds.append(MicrophoneFeed(microphone, reader, view))
    if not feeds:
        raise CaptureError(
            "nothing to preview: camera.source or inference.face is off, or the clip has no pictures, and "
            "microphone.source is off, or the clip has no sound"
        )
    return feeds


def _wait(
    feeds: Sequence[Feed], privacy: PrivacySources, monitor: ExitMonitor, view: View, unwatched_s: float
) -> ExitReason:
    """Wait for a reason to end. Raises CaptureError, also when privacy is switched on."""
    from affectd.cli.exit_monitor import ExitReason

    while (ending := monitor.exit_reason()) is None:
        privacy.require_off()
        for feed in feeds:
            feed.raise_fault()
        if view.unwatched_s > unwatched_s:
            return ExitReason(f"no browser has watched for {_duration(unwatched_s)}")
        time.sleep(POLL_S)
    return ending


def _notify_browsers(view: View, reason: str) -> None:
    """Have those that watch show why they see nothing any more; the devices are closed already."""
    watched = view.watched
    view.end(reason)
    if watched:
        time.sleep(LAST_WORD_S)


def _print_address(devices: str, port: int, unwatched_s: float) -> None:
    print(
        f"http://127.0.0.1:{port}/ shows {devices} to this box only; Ctrl-C ends, or {_duration(unwatched_s)} "
        f"without a browser\nfrom another machine: ssh -L {port}:localhost:{port} {platform.node()}, and there "
        f"http://localhost:{port}/",
        flush=True,
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"
