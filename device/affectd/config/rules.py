"""Checks of settings beyond a pattern: whether a host or a topic can be one, and what it should have been."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from affectd.capture.address import concealed

_TLS = ("mqtts", "ssl", "tls")
_PLAIN = ("mqtt", "tcp")
_WEBSOCKET = ("ws", "wss")
_LONGEST_HOST = 253
"""Characters of a name in the DNS, without the dot at its end."""
_TOPIC = re.compile(r"[^#+\s$][^#+\s]{0,127}")


def host_fault(host: str) -> str:
    """Return what is wrong with a broker's host, with the right form where it is plain, or nothing."""
    if is_host(host):
        return ""
    meant = _meant(host.strip())
    return "must be a host name or address alone" + (meant or ', such as "broker.lan", "192.168.1.20" or "::1"')


def is_host(text: str) -> bool:
    """Whether the system's resolver may take this for a name or an address."""
    with suppress(ValueError):
        ipaddress.IPv6Address(text)
        return True
    try:
        encoded = text.encode("idna").decode("ascii")  # as Python does before it asks the resolver
    except UnicodeError:
        return False
    name = encoded.removesuffix(".")
    parts = name.split(".")
    if len(parts) >= 4 and all(part.isdecimal() for part in parts):  # fewer are an address too, as in 127.1
        return len(parts) == 4 and all(int(part) <= 255 for part in parts) and name == encoded
    return re.fullmatch(r"[\w.-]+", name) is not None and len(name) <= _LONGEST_HOST


def topic_fault(topic: str) -> str:
    """Return what is wrong with the first part of topics, with the right form where it is plain, or nothing."""
    if _is_topic(topic):
        return ""
    meant = re.sub("/+", "/", re.sub(r"/[#+]$", "", topic.strip())).strip("/ ")
    suggestion = f'; write "{meant}"' if _is_topic(meant) and concealed(topic) == topic else ""
    return (
        "must be 1 to 128 characters without blanks, #, + or a $ at the beginning, and with no / at the beginning, at "
        f"the end, or after another{suggestion}"
    )


def prefix_fault(prefix: str) -> str:
    """Return what is wrong with a topic's first part that may be left empty, or nothing."""
    return topic_fault(prefix) if prefix else ""


def _is_topic(text: str) -> bool:
    return _TOPIC.fullmatch(text) is not None and all(text.split("/"))


def _meant(text: str) -> str:
    """Return the settings that an address or 'host:port' stands for, as they follow a sentence; empty if unclear."""
    scheme_given = re.match(r"([a-z]+):?//", text, re.IGNORECASE)
    scheme, rest = (scheme_given[1].lower(), text[scheme_given.end() :]) if scheme_given else ("", text)
    place = re.split("[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    found = re.fullmatch(r"\[?([^\[\]]*?)\]?(?::([0-9]+))?", place)
    host, port = (found[1], found[2]) if found else (place, None)
    if not is_host(host):
        return ""
    forms = [f'mqtt.host = "{host}"']
    if scheme in _TLS or scheme in _PLAIN:
        port = port or ("8883" if scheme in _TLS else "1883")
    if port and 1 <= int(port) <= 65_535 and scheme in ("", *_TLS, *_PLAIN):
        forms.append(f"mqtt.port = {port}")
    if scheme in _TLS:
        forms.append("mqtt.tls = true")
    secrets = "; user name and password go into mqtt.username and mqtt.password_file" if "@" in rest else ""
    other = "; affectd speaks MQTT over TCP, not over WebSocket" if scheme in _WEBSOCKET else ""
    return f": {', '.join(forms)}{secrets}{other}"
