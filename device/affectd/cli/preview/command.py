"""Show what camera and microphone give, and what is read in it, to a browser on this box, and to nobody else."""

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
    from affectd.cli.caller import Caller, Farewell
    from affectd.cli.preview.senses import Sense
    from affectd.cli.preview.view import View
    from affectd.config import Config
    from affectd.service.privacy_sources import PrivacySources

HELP = "show a browser on this box what camera and microphone give, to aim them"
UNWATCHED_S = 300.0
POLL_S = 0.1
LAST_WORD_S = 0.5
"""Time in which a browser between two questions asks the next."""


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
    from affectd.cli.preview.server import serving
    from affectd.cli.preview.view import View

    caller = Caller()
    config = load_service_config(args)
    privacy = assembly.privacy_sources(config)
    privacy.require_off()
    view = View()
    senses = _senses(config, view)
    caller.take_signals()
    with serving(view, args.port) as port:
        try:
            with ExitStack() as devices:
                for sense in senses:
                    devices.enter_context(sense)
                _introduce(" and ".join(dict.fromkeys(sense.device for sense in senses)), port, args.unwatched)
                farewell = _wait(senses, privacy, caller, view, args.unwatched)
        except AffectdError as error:
            _tell_browsers(view, str(error))
            raise
        _tell_browsers(view, farewell.reason)
    with suppress(OSError):  # the caller may have left
        print(f"affectd: the preview has ended: {farewell.reason}", file=sys.stderr)
    return farewell.exit_code


def _senses(config: Config, view: View) -> list[Sense]:
    """Build what looks and what listens; nothing is opened yet. Raises CaptureError when there is neither."""
    from affectd import assembly
    from affectd.cli.preview.senses import Listening, Looking

    senses: list[Sense] = []
    clip = assembly.open_clip(config, realtime=True, loop=True)
    camera = assembly.make_camera(config, clip)
    face = assembly.open_configured_model(config, "face")
    if camera is not None and face is not None:
        senses.append(Looking(camera, assembly.make_face_reader(config, face), view, config))
    microphone = assembly.make_microphone(config, clip)
    if microphone is not None:
        voice = assembly.open_configured_model(config, "voice")
        reader = None if voice is None else assembly.make_voice_reader(config, voice)
        senses.append(Listening(microphone, reader, view))
    if not senses:
        raise CaptureError(
            "nothing to preview: camera.source or inference.face is off, or the clip has no pictures, and "
            "microphone.source is off, or the clip has no sound"
        )
    return senses


def _wait(senses: Sequence[Sense], privacy: PrivacySources, caller: Caller, view: View, unwatched_s: float) -> Farewell:
    """Wait for a reason to end. Raises CaptureError, also when privacy is switched on."""
    from affectd.cli.caller import Farewell

    while (farewell := caller.farewell()) is None:
        privacy.require_off()
        for sense in senses:
            sense.raise_fault()
        if view.unwatched_s > unwatched_s:
            return Farewell(f"no browser has watched for {_duration(unwatched_s)}")
        time.sleep(POLL_S)
    return farewell


def _tell_browsers(view: View, reason: str) -> None:
    """Have those that watch show why they see nothing any more; the devices are closed already."""
    watched = view.watched
    view.end(reason)
    if watched:
        time.sleep(LAST_WORD_S)


def _introduce(devices: str, port: int, unwatched_s: float) -> None:
    print(
        f"http://127.0.0.1:{port}/ shows {devices} to this box only; Ctrl-C ends, or {_duration(unwatched_s)} "
        f"without a browser\nfrom another machine: ssh -L {port}:localhost:{port} {platform.node()}, and there "
        f"http://localhost:{port}/",
        flush=True,
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"
