"""Events over time on composed sessions: how many are false, and how long the right one takes.

A session is a person whose expression changes every 4 to 12 seconds: PublicTest faces of one label, each shown for a
moment, at 10 frames a second, with the detector's jitter and a sensor's noise; read by the device's own crop, quality,
network and fuser. What makes it hard comes in moments (0.3 to 1.5 s), in spells (4 to 15 s), or never ends.

python scripts/senses/over_time.py --faces fer2013.npz [--minutes N] [--against CHECKOUT]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS, Box, FaceReading, TrackedFace
from affectd.face.preprocess import FacePreprocessing
from affectd.face.quality import face_quality
from affectd.fusion.fuser import Fuser
from affectd.inference.bundle import Bundle
from affectd.inference.model import Model, open_model
from affectd_convert.datasets.labelled import Faces, read_labelled_faces
from affectd_convert.evaluation.robustness.faces import BOX_SCALE, BOX_SHIFT, sensed

ROOT = Path(__file__).resolve().parents[2]
FPS = 10
SIDE, MARGIN = 120, 30
"""Pixels of a face in its picture, and around it."""
LATE_S = 1.5
"""An event may name what was shown so long ago; else it is false."""
NEUTRAL_SHARE = 3.0
"""How many times as often as another emotion a face is neutral."""
TROUBLES = ("blur 1.5", "blur 2.5", "light 10 %", "light 5 %", "mask", "dark glasses", "turned away")
HOPELESS = ("blur 3", "light 3 %", "mask")
KINDS = ("clear", "moments of trouble", "spells of trouble", "never clear")
DEFAULTS = {"enter": 0.5, "leave": 0.35, "dwell_s": 0.8, "half_life_s": 1.0}
HALF_LIVES_S = (0.5, 0.75, 1.0, 1.5)
DWELLS_S = (0.3, 0.5, 0.8)
THRESHOLDS = ((0.4, 0.25), (0.5, 0.25), (0.5, 0.35), (0.5, 0.45), (0.6, 0.35), (0.6, 0.45))
"""`enter` and `leave`."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Moment:
    """One frame of a session: what is shown, and what is read of it."""

    at: float
    truth: int
    reading: FaceReading


@dataclass(frozen=True)
class Score:
    """What one session's events were like."""

    false_an_hour: float
    reached: float
    """Share of expressions that were named before they ended."""
    median_s: float
    """From the beginning of an expression until it is named; those that never were count as infinite."""
    wrong_time: float
    right_time: float
    events_an_hour: float

    def __str__(self) -> str:
        """Format a row of the table."""
        return (
            f"{self.false_an_hour:>9.0f}{self.reached:>10.1%}{self.median_s:>9.1f}"
            f"{self.right_time:>9.1%}{self.wrong_time:>9.1%}{self.events_an_hour:>9.0f}"
        )


HEADER = f"{'false/h':>9}{'reached':>10}{'median s':>9}{'right':>9}{'wrong':>9}{'events/h':>9}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; end with 1 when a person never seen clearly gives false emotions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="FER2013, in a form that affectd-convert reads")
    parser.add_argument("--speech", help=argparse.SUPPRESS)  # prove-senses gives its options to every part
    parser.add_argument("--minutes", type=float, default=20.0, help="of each kind of session")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another version of affectd, shown first")
    parser.add_argument("--no-grid", action="store_true", help="the defaults alone")
    options = parser.parse_args(arguments)
    if options.against is not None:
        print("before:", flush=True)
        _run_elsewhere(options.against, options.faces, options.minutes)
        print("\nnow:", flush=True)
    sessions = compose_all(options.faces, options.minutes)
    print(f"{options.minutes:g} minutes of each session, defaults: {DEFAULTS}\n{'session':<22}{HEADER}")
    scores = {kind: score(moments, play(moments)) for kind, moments in sessions.items()}
    for kind, own in scores.items():
        print(f"{kind:<22}{own}", flush=True)
    if not options.no_grid:
        _print_grid(sessions)
    return int(scores["never clear"].wrong_time > 0.02)


def compose_all(faces: Path, minutes: float) -> dict[str, list[Moment]]:
    """Compose and read a session of each kind; the same faces give the same sessions."""
    held_out = read_labelled_faces(faces, "public")
    model = open_model(Bundle.load(ROOT / "models" / "face-vgg16"), "int8")
    return {kind: list(read(model, compose(held_out, kind, minutes))) for kind in KINDS}


def compose(faces: Faces, kind: str, minutes: float) -> Iterator[tuple[float, int, Picture | None]]:
    """Yield the time, label and picture (None: nobody is seen) of every frame."""
    rng = np.random.default_rng(KINDS.index(kind))
    rows = [np.flatnonzero(faces.truth == label) for label in range(len(LABELS))]
    troubles = _troubles(kind, 60 * minutes, rng)
    label, label_until, photo_until, trouble, trouble_until = -1, 0.0, 0.0, "", 0.0
    photo = faces.pixels[0]
    for number in range(round(60 * minutes * FPS)):
        at = number / FPS
        if at >= label_until:
            shares = np.array([NEUTRAL_SHARE if name == "neutral" else 1.0 for name in LABELS])
            if label >= 0:
                shares[label] = 0
            label = int(rng.choice(len(LABELS), p=shares / shares.sum()))
            label_until, photo_until = at + rng.uniform(4, 12), at
        if at >= photo_until:
            photo, photo_until = faces.pixels[rng.choice(rows[label])], at + rng.uniform(0.5, 3.0)
        if at >= trouble_until:
            trouble, trouble_until = next(troubles)
        yield at, label, shown(photo, trouble, rng)


def _troubles(kind: str, end: float, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield what is wrong with the picture ("" for nothing), and until when."""
    at, clear_s, longest = 0.0, {"moments of trouble": 4.0}.get(kind, 8.0), (0.3, 1.5)
    names: Sequence[str] = TROUBLES
    if kind == "clear":
        yield "", end
    if kind == "spells of trouble":
        longest, names = (4.0, 15.0), TROUBLES[:-1]
    if kind == "never clear":
        clear_s, longest, names = 0.0, (60.0, 60.0), HOPELESS
    number = 0
    while at < end:
        if clear_s:
            at += rng.exponential(clear_s)
            yield "", at
        at += rng.uniform(*longest)
        yield names[number % len(names)], at
        number += 1


def shown(photo: Picture, trouble: str, rng: np.random.Generator) -> Picture | None:
    """Return the picture of a face of SIDE pixels with MARGIN around it, as a small sensor takes it."""
    what, _, much = trouble.partition(" ")
    light = 1.0
    if what == "turned":
        return None
    if what == "blur":
        photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), float(much), borderType=cv2.BORDER_REPLICATE), np.uint8)
    elif what == "light":
        light = float(much.removesuffix(" %")) / 100
    elif trouble:
        photo = masked(photo) if what == "mask" else behind_dark_glasses(photo)
    large = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    padded = cv2.copyMakeBorder(large, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
    return sensed(padded, light, rng)


def masked(photo: Picture) -> Picture:
    """Cover a 48-pixel face from below the bridge of its nose, with folds in the cloth."""
    rows, columns = np.mgrid[0:48, 0:48]
    cover = cv2.GaussianBlur((rows > 28 + 3 * ((columns - 24) / 24) ** 2).astype(np.float64), (0, 0), 0.6)
    cloth = 150 * (1 - 0.15 * ((columns - 24) / 24) ** 2) + 4 * np.sin(rows / 2.5)
    return np.asarray(np.clip(photo * (1 - cover) + cloth * cover, 0, 255), np.uint8)


def behind_dark_glasses(photo: Picture) -> Picture:
    """Cover the eyes of a 48-pixel face."""
    rows, columns = np.mgrid[0:48, 0:48]
    lenses = [((columns - x) / 8.5) ** 4 + ((rows - 18) / 6.0) ** 4 < 1 for x in (13.5, 34.5)]
    bridge = (abs(rows - 16) < 1.2) & (abs(columns - 24) < 12)
    cover = cv2.GaussianBlur((lenses[0] | lenses[1] | bridge).astype(np.float64), (0, 0), 0.5)
    return np.asarray(np.clip(photo * (1 - cover) + (22 + 0.08 * photo) * cover, 0, 255), np.uint8)


def read(model: Model, frames: Iterator[tuple[float, int, Picture | None]]) -> Iterator[Moment]:
    """Read every frame as the face path does behind its detector, whose box trembles."""
    preprocessing = FacePreprocessing.from_manifest(model.bundle.preprocessing)
    rng = np.random.default_rng(0)
    box = Box(0.3, 0.3, 0.4, 0.4)
    for at, label, picture in frames:
        if picture is None:
            yield Moment(at, label, FaceReading(at))
            continue
        side = SIDE / preprocessing.crop_scale * (1 + BOX_SCALE / 2 * rng.standard_normal())
        left, top = MARGIN + SIDE / 2 + BOX_SHIFT * SIDE * rng.standard_normal(2) - side / 2
        crop = preprocessing.crop(picture, (left, top, side, side))
        probabilities = model.probabilities(preprocessing.prepare_still(crop)[np.newaxis])
        yield Moment(at, label, FaceReading(at, (TrackedFace(1, box, face_quality(crop), probabilities),)))


def play(moments: Sequence[Moment], **settings: float) -> list[tuple[float, str | None, bool]]:
    """Return the time, the emotion named, and whether that is an event, after each frame."""
    fuser = Fuser(**(DEFAULTS | settings))  # type: ignore[arg-type]
    told = []
    for moment in moments:
        fuser.update_face(moment.reading)
        fusion = fuser.step(moment.at)
        told.append((moment.at, fusion.state.emotion, bool(fusion.events)))
    return told


def score(moments: Sequence[Moment], told: Sequence[tuple[float, str | None, bool]]) -> Score:
    """Compare what was told with what was shown."""
    truth = np.array([moment.truth for moment in moments])
    named = np.array([-1 if emotion is None else LABELS.index(emotion) for _, emotion, _ in told])
    events = np.flatnonzero([event for *_, event in told])
    late = round(LATE_S * FPS)
    false = [at for at in events if named[at] >= 0 and named[at] not in truth[max(0, at - late) : at + 1]]
    bounds = [0, *(np.flatnonzero(np.diff(truth)) + 1), len(truth)]
    waits = []
    for start, end in pairwise(bounds):
        right = np.flatnonzero(named[start:end] == truth[start])
        waits.append(right[0] / FPS if len(right) else np.inf)
    hours = len(moments) / FPS / 3600
    return Score(
        len(false) / hours,
        float(np.mean(np.isfinite(waits))),
        float(np.median(waits)),
        float(np.mean((named >= 0) & (named != truth))),
        float(np.mean(named == truth)),
        len(events) / hours,
    )


def _print_grid(sessions: dict[str, list[Moment]]) -> None:
    """Print the settings that no others beat, in false events and in the time to the right one, both at once."""
    settings = [
        {"enter": enter, "leave": leave, "dwell_s": dwell, "half_life_s": half_life}
        for half_life, dwell, (enter, leave) in product(HALF_LIVES_S, DWELLS_S, THRESHOLDS)
    ]
    hard = [moments for kind, moments in sessions.items() if kind != "never clear"]
    with ProcessPoolExecutor() as pool:
        means = list(pool.map(partial(_mean, hard), settings))
    print(f"\nsettings that no others beat, mean over the first three sessions; * the defaults\n{'':<46}{HEADER}")
    of_use = [row for row in zip(settings, means, strict=True) if np.isfinite(row[1].median_s)]
    for one, own in sorted(of_use, key=lambda row: row[1].median_s):
        beaten = any(
            other.false_an_hour < own.false_an_hour and other.median_s <= own.median_s and other.reached >= own.reached
            for other in means
        )
        if one == DEFAULTS or not beaten:
            mark = "*" if one == DEFAULTS else " "
            print(f"{mark} {' '.join(f'{key} {value:g}' for key, value in one.items()):<44}{own}")


def _mean(sessions: Sequence[Sequence[Moment]], settings: dict[str, float]) -> Score:
    scores = [score(moments, play(moments, **settings)) for moments in sessions]
    names = list(Score.__dataclass_fields__)
    return Score(*(float(np.mean([getattr(one, name) for one in scores])) for name in names))


def _run_elsewhere(checkout: Path, faces: Path, minutes: float) -> None:
    """Run this script with the program of another checkout."""
    path = os.pathsep.join(str(checkout.resolve() / source) for source in ("device", "convert"))
    command = [sys.executable, __file__, "--faces", str(faces), "--minutes", str(minutes), "--no-grid"]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False)


if __name__ == "__main__":
    sys.exit(main())
