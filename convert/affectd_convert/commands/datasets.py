"""affectd-convert datasets: what a data folder holds, what of it cannot be used, and what is missing."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from textwrap import fill

from affectd_convert.commands import Steps
from affectd_convert.commands.left_out import print_left_out


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser("datasets", help="say what a data folder holds: corpora, speakers, labels, licences")
    parser.add_argument("data", type=Path, help="fer2013.npz, fer2013.csv, a folder of faces, or a folder of speech")
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    print_summary(options.data)
    return 0


def print_summary(data: Path) -> None:
    """Print what `data` holds for each corpus, split and label. Raises DataError when it holds none."""
    from affectd_convert.datasets import fer2013

    if fer2013.holds_faces(data):
        _print_faces(data)
    else:
        _print_speech(data)


def _print_faces(data: Path) -> None:
    from affectd.events import LABELS
    from affectd_convert.datasets import fer2013

    read = fer2013.read_faces(data)
    faces = fer2013.without_twins(read)
    print(f"FER2013 ({fer2013.LICENCE})")
    for note in faces.notes:
        print(f"  {note}")
    for name, usage, use in (
        ("Training", fer2013.TRAINING, ""),
        ("PublicTest", fer2013.PUBLIC_TEST, " for validation"),
        ("PrivateTest", fer2013.PRIVATE_TEST, ", never used in training"),
    ):
        there, kept = (Counter(each.split(usage).label.tolist()) for each in (read, faces))
        if not there:
            continue
        listing = ", ".join(f"{label} {there[k]}" for k, label in enumerate(LABELS))
        print(f"  {name:<11}{there.total():>6} faces{use}: {listing}")
        if kept != there:
            listing = ", ".join(f"{label} {kept[k]}" for k, label in enumerate(LABELS))
            print(f"  {'trained on':<11}{kept.total():>6} of them: {listing}")
        if empty := [label for k, label in enumerate(LABELS) if not kept[k]]:
            print(f"  {name}: no face labelled {', '.join(empty)}; a model cannot be trained or judged on it")
    print_left_out(faces.skipped)


def _print_speech(data: Path) -> None:
    from affectd.events import VOICE_LABELS
    from affectd_convert.datasets import speech

    found = speech.survey_speech(data)
    for corpus in speech.CORPORA:
        mine = [clip for clip in found.clips if clip.corpus == corpus.name]
        if not mine:
            print(f"{corpus.title}: not here")
            continue
        emotions = Counter(clip.emotion for clip in mine)
        speakers = Counter(clip.speaker.rpartition("-")[2] for clip in mine)
        print(f"{corpus.title} ({corpus.licence})")
        listing = ", ".join(f"{label} {emotions[label]}" for label in VOICE_LABELS if emotions[label])
        print(f"  {len(mine)} clips of {len(speakers)} speakers: {listing}")
        listing = "clips by speaker: " + ", ".join(f"{name}: {count}" for name, count in sorted(speakers.items()))
        print(fill(listing, width=110, initial_indent="  ", subsequent_indent="    "))
    if empty := set(VOICE_LABELS) - {clip.emotion for clip in found.clips}:
        print(f"no clip labelled {', '.join(sorted(empty))}; the voice model needs all eight (calm: RAVDESS)")
    folds = sorted({fold for clip in found.clips if (fold := speech.fold_of(clip)) is not None})
    print(f"RAVDESS folds that speakers can be held out by: {', '.join(map(str, folds)) or 'none'}")
    print_left_out(found.skipped)
