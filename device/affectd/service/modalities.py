"""Whether camera and microphone work: the reason of a state without anybody."""

from __future__ import annotations

from affectd.events import Reason, Strategy
from affectd.service.component import Component

_MISSING: dict[str, Reason] = {"face": "no_camera", "voice": "no_microphone"}
_IGNORED_BY: dict[str, Strategy] = {"face": "voice", "voice": "face"}
"""The strategy that a modality has no part in."""


class Modalities:
    """The device and the worker of each modality, judged by how they are."""

    def __init__(self, strategy: str, silent_s: float, *, clip: bool) -> None:
        """Begin without any; one that shows no sign of life for `silent_s` is not believed, unless it plays a clip."""
        self._strategy = strategy
        self._silent_s = silent_s
        self._clip = clip
        self._parts: dict[str, tuple[Component, Component]] = {}
        self.private = False
        """Whether all are to be closed: nothing is taken in."""

    def add(self, modality: str, device: Component, worker: Component) -> None:
        """Take in what 'face' or 'voice' is perceived with."""
        self._parts[modality] = (device, worker)

    def has_failed(self, modality: str, now: float) -> bool:
        """Whether the device or the worker fails, or has been silent for too long; false where there is none."""
        for part in self._parts.get(modality, ()):
            status = part.status()
            silent = status.state == "running" and now - status.last_sign >= self._silent_s and not self._clip
            if status.failing or silent:
                return True
        return False

    def why_nobody(self, now: float) -> Reason:
        """Return what keeps the camera from seeing, or the microphone from hearing where there is no camera."""
        if self.private:
            return "privacy"
        for modality, (device, _) in self._parts.items():
            if self._strategy != _IGNORED_BY[modality]:
                if self.has_failed(modality, now):
                    return _MISSING[modality]
                return "starting" if device.status().state in {"starting", "off"} else "nobody"
        return "nobody"
