"""Anonymous tracks of faces: full detection now and then, a cheap look around the last place in between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from affectd.face.change_map import ChangeMap
from affectd.face.detector import FaceDetector, FoundFace, SmallPicture, cut_around, overlap
from affectd.face.preprocess import GrayImage, PixelBox

SAME_FACE = 0.3
"""Intersection over union from which two boxes are one face."""
LIKENESS = 0.7
"""Normalized correlation with the face in the frame before from which it is still the same; scenery stays below 0.5."""
PATCH = 32
"""Side in pixels at which faces are compared by correlation."""
FRONT_SHARE = 1.5
"""Another face must cover this many times the area of the one in front to take its place."""
LOOK_EVERY = 3
"""A face that keeps still is looked for, and its roll measured, on every n-th frame."""
STILL = 0.97
"""Normalized correlation with the face when it was last found from which it keeps still, there or a pixel beside."""
STEADY_DEG = 2.5
"""Change of the roll up to which it is asked half as often from then on."""
ROLL_SHARE = 0.7
"""How far the roll moves to the newest one: a detector's is a little off each time."""
IDLE_EVERY = 2
"""While nobody is there, full detection runs on every n-th frame."""


@dataclass(slots=True, eq=False)
class Track:
    """One face while it stays in view; anonymous."""

    box: PixelBox
    """In pixels of the full picture, smoothed so that the crop does not tremble."""
    detected_at: float
    """When the detector last confirmed it, on the clock of the frames."""
    patch: GrayImage
    """(PATCH, PATCH) picture of the face when last seen, for the frames in which the detector misses it."""
    roll_deg: float = 0.0
    """The head's tilt, clockwise positive, smoothed; 0 where the detector does not know."""
    steady: bool = False
    """Whether the head leaned no further when its roll was last asked."""
    number: int | None = None
    """Counts up from 1; None until a second frame confirms the face."""
    visible: bool = True
    """Whether it was found in the newest frame."""

    @property
    def area(self) -> float:
        """Square pixels of the full picture."""
        return self.box[2] * self.box[3]


@dataclass(slots=True)
class FaceTracker:
    """Follows every face from frame to frame and knows which one stands in front.

    A face counts when two frames have shown it; it is followed by the detector in a small region, less often while it
    keeps still, or by its likeness to the frame before while it turns away, and ends `patience_s` seconds after the
    detector last confirmed it.
    """

    detector: FaceDetector
    detect_every: int = 5
    patience_s: float = 1.0
    _tracks: list[Track] = field(default_factory=list)
    _front: int | None = None
    _last_number: int = 0
    _since_detection: int = IDLE_EVERY
    _frames: int = 0
    """Since the start."""
    _changes: ChangeMap = field(default_factory=ChangeMap)

    def reset(self) -> None:
        """Forget all faces, after a gap in the pictures; numbers go on counting up."""
        self._tracks.clear()
        self._front = None
        self._since_detection = IDLE_EVERY
        self._changes.forget()

    def update(self, gray: GrayImage, at: float) -> list[Track]:
        """Take the frame (height, width) captured at `at` seconds; return the faces in it, the one in front first."""
        self._frames += 1
        picture = self.detector.shrink(gray)
        found = self._detect(picture, at) if self._detection_is_due() else []
        for track in self._tracks:
            if self._follow_still(picture, track, at):
                found = [other for other in found if overlap(track.box, other.box) < SAME_FACE]
                continue
            # From near first: it knows the roll, which full detection may not.
            face = self._detect_near(picture, track) or _take_overlapping(track.box, found)
            if face is not None:
                self._confirm(track, face, picture, at)
            else:
                self._follow_likeness(track, picture)
            found = [other for other in found if overlap(track.box, other.box) < SAME_FACE]
        self._tracks += [Track(face.box, at, _patch(picture, face.box), face.roll_deg) for face in found]
        self._end_stale(at)
        return self._in_view()

    def _detection_is_due(self) -> bool:
        followed = any(track.visible for track in self._tracks)
        self._since_detection += 1
        due = self._since_detection >= (self.detect_every if followed else min(self.detect_every, IDLE_EVERY))
        if due:
            self._since_detection = 0
        return due

    def _detect(self, picture: SmallPicture, at: float) -> list[FoundFace]:
        """Search for faces where something has changed."""
        followed = [FoundFace(track.box, track.roll_deg) for track in self._tracks if track.visible]
        boxes = [face.box for face in followed]
        search = self._changes.next_search(picture, at, boxes, self.detector.attempts(picture))
        if search is None:
            return []
        return self.detector.detect(replace(picture, cells=search.cells), search.attempt, followed)

    def _follow_still(self, picture: SmallPicture, track: Track, at: float) -> bool:
        """Move the track by at most a pixel of PATCH, if its face looks there as when it was found a moment ago."""
        soon = self._frames % LOOK_EVERY and at - track.detected_at < self.patience_s / 2
        if not soon or track.number is None or not track.visible:
            return False
        region, _ = cut_around(picture, track.box, margin=1 / PATCH)
        if region.size == 0:
            return False
        scores = cv2.matchTemplate(cv2.resize(region, (PATCH + 2, PATCH + 2)), track.patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(scores)
        if best < STILL:
            return False
        x, y, width, height = track.box
        track.box = (x + (column - 1) * width / PATCH, y + (row - 1) * height / PATCH, width, height)
        return True

    def _detect_near(self, picture: SmallPicture, track: Track) -> FoundFace | None:
        last = FoundFace(track.box, track.roll_deg)
        ask_roll = self._frames % (2 * LOOK_EVERY if track.steady else LOOK_EVERY) == 0
        face = _take_overlapping(track.box, self.detector.detect_near(picture, last, ask_roll=ask_roll))
        if ask_roll:
            track.steady = face is not None and abs(face.roll_deg - track.roll_deg) <= STEADY_DEG
        return face

    def _confirm(self, track: Track, face: FoundFace, picture: SmallPicture, at: float) -> None:
        if track.number is None:
            self._last_number += 1
            track.number = self._last_number
        track.box = _smoothed(track.box, face.box)
        track.roll_deg += ROLL_SHARE * (face.roll_deg - track.roll_deg)
        track.patch = _patch(picture, track.box)
        track.detected_at = at
        track.visible = True

    def _follow_likeness(self, track: Track, picture: SmallPicture) -> None:
        """Move the track to where the region around it looks most like its face, if anywhere."""
        region, (left, top) = cut_around(picture, track.box, margin=0.5)
        shrink = PATCH / (track.box[2] / picture.scale)
        size = (round(region.shape[1] * shrink), round(region.shape[0] * shrink))
        track.visible = False
        if track.number is None or min(size) < PATCH:
            return
        scores = cv2.matchTemplate(cv2.resize(region, size), track.patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(scores)
        if best >= LIKENESS:
            x, y = (left + column / shrink) * picture.scale, (top + row / shrink) * picture.scale
            track.box = (x, y, *track.box[2:])
            # Renewed, so that a slow turn is followed; it cannot drift for longer than the patience.
            track.patch = _patch(picture, track.box)
            track.visible = True

    def _end_stale(self, at: float) -> None:
        """End tracks that were lost for too long, that a second frame did not confirm, or that ran into another."""
        alive: list[Track] = []
        for track in self._tracks:
            unconfirmed = track.number is None and track.detected_at < at
            lost = at - track.detected_at > self.patience_s
            double = any(overlap(track.box, other.box) > SAME_FACE for other in alive)
            if not (unconfirmed or lost or double):
                alive.append(track)
        self._tracks = alive

    def _in_view(self) -> list[Track]:
        """Return the confirmed visible tracks, the one in front first, then by size; the front does not flip."""
        tracks = [track for track in self._tracks if track.visible and track.number is not None]
        tracks.sort(key=lambda track: track.area, reverse=True)
        held = next((track for track in tracks if track.number == self._front), None)
        if held is not None and tracks[0].area < FRONT_SHARE * held.area:
            tracks.remove(held)
            tracks.insert(0, held)
        if tracks:
            self._front = tracks[0].number
        return tracks


def _take_overlapping(box: PixelBox, found: list[FoundFace]) -> FoundFace | None:
    """Take the face whose box overlaps most out of `found`; None when none overlaps enough."""
    best = max(found, key=lambda face: overlap(box, face.box), default=None)
    if best is None or overlap(box, best.box) < SAME_FACE:
        return None
    found.remove(best)
    return best


def _smoothed(old: PixelBox, new: PixelBox) -> PixelBox:
    """Move `old` towards `new`: a third of the way for the detector's jitter, all the way for a real move."""
    step = max(abs(n - o) for n, o in zip(new, old, strict=True)) / old[2]
    share = min(1.0, max(0.33, step / 0.15))
    x, y, width, height = (o + share * (n - o) for o, n in zip(old, new, strict=True))
    return x, y, width, height


def _patch(picture: SmallPicture, box: PixelBox) -> GrayImage:
    face, _ = cut_around(picture, box, margin=0.0)
    return np.asarray(cv2.resize(face, (PATCH, PATCH)), np.uint8)
