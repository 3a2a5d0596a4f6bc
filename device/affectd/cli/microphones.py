"""Show every microphone: its channels, rates and formats, what to write as microphone.source, and how loud it is."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from affectd.cli.options import add_config_option, load_service_config
from affectd.cli.terminal import plain, quiet_libraries
from affectd.config.keys import toml
from affectd.errors import CaptureError

if TYPE_CHECKING:
    from affectd.capture.microphone.level_meter import ChannelLevel
    from affectd.capture.microphone.portaudio import InputDevice
    from affectd.service.privacy_sources import PrivacySources

HELP = "show every microphone with its channels and a meter for each"
METER_S = 3.0
BLOCK_S = 0.1
TIMEOUT_S = 5.0
MEASURED_S = 10.0
"""The newest sound that a measurement is made of, at most."""
SILENCE_DB = -120.0
"""What is measured of digital silence."""
JUDGED_BLOCKS = 5
"""What a live meter shows is the level of the newest half second."""
QUIETEST_DB = -72.0
"""Where the bar of a meter begins."""
BAR = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd microphones`."""
    parser.add_argument("name", nargs="?", default="", help="only those whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON line a microphone, measured once")
    parser.add_argument(
        "--for",
        type=float,
        default=METER_S,
        metavar="SECONDS",
        dest="seconds",
        help=f"listen to each for so long, on a terminal with a live meter (default {METER_S:g})",
    )
    add_config_option(parser, default=True)


def run(args: argparse.Namespace) -> int:
    """Listen to one after the other. Raises CaptureError without any, and while privacy is on."""
    from affectd import assembly
    from affectd.capture.microphone.portaudio import list_inputs, source_name
    from affectd.service.log import set_up_logging

    set_up_logging("ERROR")
    privacy = assembly.privacy_sources(load_service_config(args))
    privacy.require_off()
    with quiet_libraries():
        devices = list_inputs()
        chosen = [device for device in devices if args.name.lower() in device.name.lower()]
        for device in chosen:
            _show(device, source_name(device, devices), max(args.seconds, BLOCK_S), privacy, as_json=args.json)
    if devices and not chosen:
        seen = ", ".join(device.name for device in devices)
        raise CaptureError(f"no microphone has '{args.name}' in its name; there are: {seen}")
    if not devices:
        raise CaptureError(
            "no microphone found: is it plugged in, is the sound server running, and is the user in the group 'audio'?"
        )
    return 0


def _show(device: InputDevice, source: str, seconds: float, privacy: PrivacySources, *, as_json: bool) -> None:
    """Describe and measure one device. Raises CaptureError where privacy is switched on."""
    about = _described(device, source)
    if not as_json:
        print("\n".join(_headlines(about)), flush=True)
    try:
        about |= _listen(device, seconds, privacy, draws=not as_json)
    except CaptureError as fault:
        privacy.require_off()  # where that is why, it ends the command
        about["error"] = str(fault)
        if not as_json:
            print(plain(f"   {fault}"), flush=True)
    if as_json:
        print(json.dumps(about), flush=True)


def _described(device: InputDevice, source: str) -> dict[str, Any]:
    from affectd.capture.microphone.alsa_card import card_formats

    card = card_formats(device.alsa_name) if device.alsa_name else None
    return {
        "name": device.name,
        "source": source,
        "channels": device.channels,
        "default_rate": device.default_rate,
        "alsa": device.alsa_name or None,
        "card": None if card is None else asdict(card),
        "opened": None,
        "levels": [],
        "error": None,
    }


def _listen(device: InputDevice, seconds: float, privacy: PrivacySources, *, draws: bool) -> dict[str, Any]:
    """Return how the device was opened and each channel's level, which it `draws`, on a terminal all the while.

    Raises CaptureError.
    """
    from affectd.capture.microphone.level_meter import channel_levels
    from affectd.capture.microphone.stream import InputStream

    stream = InputStream(device.name, timeout_s=TIMEOUT_S, channel="loudest", chunk_s=BLOCK_S)
    blocks: deque[bytes] = deque(maxlen=round(MEASURED_S / BLOCK_S))
    meter = Meter(live=draws and sys.stdout.isatty())
    try:
        layout = stream.open()
        end = None
        while end is None or time.monotonic() < end:
            privacy.require_off()
            blocks.append(stream.read().data)
            end = end or time.monotonic() + seconds  # a sound server takes its time for the first
            if meter.live:
                meter.draw(channel_levels(list(blocks)[-JUDGED_BLOCKS:], layout))
    finally:
        stream.close()
    levels = channel_levels(list(blocks), layout)
    if draws and not meter.live:
        meter.draw(levels)
    return {
        "opened": {"rate": layout.rate, "channels": layout.channels},
        "levels": [{"channel": number, **_rounded(level)} for number, level in enumerate(levels, 1)],
    }


class Meter:
    """A bar for each channel; `live` ones are drawn over those before."""

    def __init__(self, *, live: bool) -> None:
        """Draw nothing yet."""
        self.live = live
        self._drawn = 0

    def draw(self, levels: list[ChannelLevel]) -> None:
        """Show the levels, one line a channel."""
        up = f"\033[{self._drawn}A" if self._drawn else ""
        clear = "\033[K" if self.live else ""
        sys.stdout.write(up + "".join(f"{_bar(number, level)}{clear}\n" for number, level in enumerate(levels, 1)))
        sys.stdout.flush()
        self._drawn = len(levels) if self.live else 0


def _bar(number: int, level: ChannelLevel) -> str:
    filled = round(BAR * min(max(1 - level.level_db / QUIETEST_DB, 0.0), 1.0))
    text = f"{level.level_db:4.0f} dBFS, peak {level.peak_db:4.0f}"
    if level.peak_db == SILENCE_DB:
        text = "silence"
    elif level.same_as is not None:
        text += f", the same as {level.same_as}"
    elif level.offset_db > max(level.level_db, QUIETEST_DB):
        text += f", DC offset {level.offset_db:.0f}"
    return f"   {number:2} {'█' * filled}{'░' * (BAR - filled)} {text}"


def _headlines(about: dict[str, Any]) -> list[str]:
    """Return what is known of a device before it is listened to."""
    card = about["card"]
    takes = "any format, converted by the sound server or ALSA"
    if card is not None:
        slowest, fastest = card["rates"]
        rates = f"{slowest} Hz" if slowest == fastest else f"{slowest} to {fastest} Hz"
        takes = f"{' '.join(card['sample_formats']) or 'no format known here'} at {rates}"
    elif about["alsa"]:
        takes = "formats not known while another program has it"
    return [
        plain(f"{about['name']}: {about['channels']} channels, {about['default_rate']} Hz by default; {takes}"),
        plain(f"   microphone.source = {toml(about['source'])}"),
    ]


def _rounded(level: ChannelLevel) -> dict[str, Any]:
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(level).items()}
