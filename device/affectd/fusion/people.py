"""Who is in view: tracks of faces become people, and a face that is back within two seconds is the same person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot

from affectd.events import Box, FaceReading, TrackedFace
from affectd.fusion.person import PersonFilter

RETURN_S = 2.0
"""A face that is back so soon, near where it was and about as large, is the same person's."""
RETURN_WIDTHS = 1.5
"""How far it may have moved meanwhile, in widths of the face."""
RETURN_RATIO = 1.6
"""By how much it may have grown or shrunk meanwhile."""


class People:
    """The people seen within the last `RETURN_S`, by the tracks of their faces. Nobody is recognized."""

    def __init__(self, make: Callable[[], PersonFilter]) -> None:
        """Begin with nobody; `make` returns the filter of a new person."""
        self._make = make
        self._last_number = 0
        self.all: Sequence[PersonFilter] = ()
        """The person in front first, those out of sight last."""

    def forget(self) -> None:
        """Forget everybody: the devices are closed on purpose. Numbers go on counting up."""
        self.all = ()

    def take(self, reading: FaceReading, heard: PersonFilter | None) -> None:
        """Take in the faces of a frame; `heard`, somebody who was heard before, is the first who appears."""
        others = list(self.all)
        seen: dict[int, PersonFilter] = {}
        for face in reading.faces:
            person = next((p for p in others if p.face is not None and p.face.track == face.track), None)
            if person is not None:
                seen[face.track] = person
                others.remove(person)
        for face in reading.faces:
            if face.track not in seen:
                person = _back(face, others)
                if person is not None:
                    others.remove(person)
                else:
                    person, heard = heard or self._make(), None
                seen[face.track] = person
            self._see(seen[face.track], face, reading.captured_at)
        self.all = (*(seen[face.track] for face in reading.faces), *others)

    def end_lost(self, now: float) -> list[PersonFilter]:
        """Forget and return whoever has been out of sight for `RETURN_S`."""
        lost = [person for person in self.all if now - person.seen_at >= RETURN_S]
        self.all = tuple(person for person in self.all if now - person.seen_at < RETURN_S)
        return lost

    def _see(self, person: PersonFilter, face: TrackedFace, at: float) -> None:
        if person.number is None:
            self._last_number += 1
            person.number = self._last_number
        person.face, person.seen_at = face, at


def _back(face: TrackedFace, lost: Sequence[PersonFilter]) -> PersonFilter | None:
    """Return who was last seen where this face is, if anybody was."""
    near = [person for person in lost if person.face is not None and _is_near(person.face.box, face.box)]
    return max(near, key=lambda person: person.seen_at, default=None)


def _is_near(old: Box, new: Box) -> bool:
    """Whether a face may have gone from one box to the other in a moment; both as fractions of the picture."""
    across = (new.x + new.width / 2 - old.x - old.width / 2) / old.width if old.width else 0.0
    down = (new.y + new.height / 2 - old.y - old.height / 2) / old.height if old.height else 0.0
    larger, smaller = max(old.height, new.height), min(old.height, new.height)
    return hypot(across, down) <= RETURN_WIDTHS and larger <= RETURN_RATIO * smaller
