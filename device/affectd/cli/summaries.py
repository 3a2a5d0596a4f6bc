"""The lines of `affectd listen` for messages other than the emotion of the person in front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def people(document: Mapping[str, Any]) -> str:
    """Return who is in view, with what each shows; the person in front first."""
    shown = [str(person["emotion"] or "unsure") for person in document["people"]]
    return f"people {document['count']:d}" + (f": {', '.join(shown)}" if shown else "")


def info(document: Mapping[str, Any]) -> str:
    """Return the version, what is read from, and the models."""
    sources, models = " and ".join(document["sources"]) or "nothing", ", ".join(document["models"].values())
    return f"info affectd {document['version']}, reads {sources}, {document['strategy']}, {models or 'no model'}"


def faces(document: Mapping[str, Any]) -> str:
    """Return each face of one frame."""
    each = [f"{face['track']:d} {face['emotion']} {face['confidence']:.0%}" for face in document["faces"]]
    return f"faces {', '.join(each) or '-'}"


def voice(document: Mapping[str, Any]) -> str:
    """Return what one window of sound holds."""
    return f"voice {document['emotion']} {document['confidence']:.0%}" if document["active"] else "voice -"


def privacy(text: str) -> str:
    """Return the state of the privacy switch. Raises ValueError when it is none."""
    if text not in ("on", "off"):
        raise ValueError(text)
    return f"privacy {text}"
