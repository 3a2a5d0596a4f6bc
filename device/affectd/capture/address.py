"""The address of a camera on the network as people write it: where its password ends, and what may be shown of it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

# fmt: off
_SCHEMES = (
    "async", "bluray", "cache", "concat", "concatf", "crypto", "data", "fd", "ffrtmpcrypt", "ffrtmphttp", "file", "ftp",
    "gopher", "gophers", "hls", "http", "httpproxy", "https", "icecast", "ipfs", "ipns", "mmsh", "mmst", "pipe",
    "prompeg", "rist", "rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts", "rtp", "rtsp", "rtsps", "sap", "satip",
    "sctp", "sftp", "smb", "srt", "srtp", "subfile", "tcp", "tee", "tls", "udp", "udplite", "unix", "zmq",
)
# fmt: on
"""What FFmpeg may have been built with (ffmpeg.org/ffmpeg-protocols.html), and its RTSP, SAP and SAT>IP inputs."""
_ASKING = ("rtsp", "rtsps", "http", "https")
"""Those that request a stream from a server, and so need one; with others, such as udp, a box may listen itself."""
FORM = "rtsp://user:password@host:554/path"
ENCODING = "in user name and password write %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %"
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[\w.-]+)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to understand what follows the scheme."""

    credentials: str
    """'user:password' as they are written; empty for none."""
    place: str
    """'host' or 'host:port'."""
    path: str
    """With the query."""


def address_fault(address: str) -> str:
    """Return what is wrong with an address, as it follows 'must', or nothing; never a part of a password."""
    scheme, rest = _split(address)
    outermost = re.split(r"[:+,]", scheme)[0]
    if outermost not in _SCHEMES:
        usual, all_there_are = (difflib.get_close_matches(outermost, names, n=1) for names in (_ASKING, _SCHEMES))
        close = usual or all_there_are
        meant = f"; did you mean {close[0]}://?" if close else f", as {FORM}"
        return f"begin with rtsp://, http:// or another scheme that FFmpeg knows{meant}"
    if scheme not in _ASKING or _readings(rest):
        return ""
    encoding = f"; {ENCODING}" if "@" in rest else ""
    return f"name a host, and after a colon its port, a number from 1 to 65535, as {FORM}{encoding}"


def is_unclear(address: str) -> bool:
    """Whether more than one @ may end the password; `encoded` takes the first that may, as FFmpeg does."""
    scheme, rest = _split(address)
    return " " not in scheme and len(_readings(rest)) > 1  # a pipeline of GStreamer's is no address


def encoding_advice(address: str) -> str:
    """Return how a password is written, for one in which a character may mean another thing than was meant."""
    readings = _readings(_split(address)[1])
    special = len(readings) > 1 or any(re.search("[/?#@%]", reading.credentials) for reading in readings)
    return f"; {ENCODING}" if special else ""


def encoded(address: str) -> str:
    """Return an address as FFmpeg understands it: its scheme in small letters, and / ? # in the password encoded.

    Who wrote one of these has encoded nothing, so a % beside them is a % too. FFmpeg itself finds the last @.
    """
    scheme, rest = _split(address)
    readings = _readings(rest)
    if readings and re.search("[/?#]", readings[0].credentials):
        first = readings[0]
        credentials = re.sub("[/?#%]", lambda found: f"%{ord(found[0]):02X}", first.credentials)
        rest = f"{credentials}@{first.place}{first.path}"
    return f"{scheme}://{rest}"


def without_secrets(address: str) -> str:
    """Return an address without user name, password and query, fit for logs.

    Where it is unclear what of it is the password, only the scheme is left; a path is cut where it names a value, as
    in /user=admin&password=x.
    """
    scheme, rest = _split(address)
    readings = _readings(rest)
    if "@" in scheme or len(readings) > 1 or (not readings and "@" in rest):
        return f"{scheme.rpartition('@')[2]}://..."
    shown = readings[0].place + readings[0].path if readings else rest
    for secret in ("[?#]", "/[^/]*="):
        shown = re.split(secret, shown, maxsplit=1)[0]
    return f"{scheme}://{shown}"


def concealed(text: str) -> str:
    """Return text in which an address may be hidden, in any form, without what may be a secret, fit for an error."""
    if text.startswith("gst:"):
        return f"gst:{without_any_secrets(text[4:])}"
    scheme = re.match(r"[\w+.-]*:?//?|", text)
    if "@" in text:
        return f"{scheme[0] if scheme else ''}..."
    return re.sub(r"(?<=[?#]).+", "...", text)


def without_any_secrets(text: str) -> str:
    """Return a pipeline or message of GStreamer, with its addresses as `without_secrets` returns them.

    Of properties that may hold a secret, as user-pw="...", the value is left out.
    """
    shown = re.sub(r"\w[\w+.-]*://[^\s\"']+", lambda address: without_secrets(address[0]), text)
    return re.sub(r"""([\w-]*(?:user|pass|pw|secret|token|key)[\w-]*\s*=\s*)("[^"]*"|'[^']*'|\S+)""", r"\1...", shown)


def _split(address: str) -> tuple[str, str]:
    scheme, _, rest = address.partition("://")
    return scheme.lower(), rest


def _readings(rest: str) -> list[_Reading]:
    """Return the ways to understand what follows the scheme, FFmpeg's own first."""
    found = []
    for start in (0, *(at.end() for at in re.finditer("@", rest))):
        credentials, tail = rest[: max(start - 1, 0)], rest[start:]
        place = re.split("[/?#]", tail, maxsplit=1)[0]
        path = tail[len(place) :]
        of_ffmpeg = not re.search("[/?#]", credentials)
        if "@" in path.partition("#")[2]:  # a # is a password's: what FFmpeg takes for a fragment, no camera knows
            continue
        if _is_place(place) and (of_ffmpeg or ":" in credentials):
            found.append(_Reading(credentials, place, path))
    return found


def _is_place(text: str) -> bool:
    """Whether this may be a host, perhaps with its port."""
    place = _PLACE.fullmatch(text)
    return place is not None and (place["port"] is None or 1 <= int(place["port"]) <= 65_535)
