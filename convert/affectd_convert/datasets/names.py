"""What corpora, and the copies of them that are about, call their labels and splits."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from affectd.events import LABELS

TRAINING, PUBLIC_TEST, PRIVATE_TEST = 0, 1, 2
USAGES = {"Training": TRAINING, "PublicTest": PUBLIC_TEST, "PrivateTest": PRIVATE_TEST}
"""FER2013's own names of its splits."""

_LABELS = {
    **dict.fromkeys(("angry", "anger"), "angry"),
    **dict.fromkeys(("disgust", "disgusted"), "disgust"),
    **dict.fromkeys(("fear", "fearful", "afraid", "scared"), "fear"),
    **dict.fromkeys(("happy", "happiness", "joy"), "happy"),
    **dict.fromkeys(("sad", "sadness"), "sad"),
    **dict.fromkeys(("surprise", "surprised", "suprise", "suprised"), "surprise"),
    **dict.fromkeys(("ps", "pleasantsurprise", "pleasantsurprised"), "surprise"),
    "neutral": "neutral",
    **dict.fromkeys(("calm", "calmness"), "calm"),
    # As IEMOCAP and many after it shorten them.
    **{"ang": "angry", "dis": "disgust", "fea": "fear", "hap": "happy", "sur": "surprise", "neu": "neutral"},
}
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("publictest", "public"), "public"),
    **dict.fromkeys(("privatetest", "private"), "private"),
}
_SPLIT = re.compile(rf"({'|'.join(_SPLITS)})(set|data|images|faces)?")
_SPLIT_COLUMN = {"usage", "split", "set", "subset", "dataset", "partition", "fold", "kfold", "phase", "purpose"}


def label_of(name: str, labels: Sequence[str] = LABELS) -> str | None:
    """Return the one of `labels` that a name stands for, such as '0_Angry' or 'fearful'; None if it stands for none."""
    label = _LABELS.get(_letters(name))
    return label if label in labels else None


def split_of(name: str) -> str | None:
    """Return train, validation, test, public or private for a split's name in any spelling, None for another name."""
    found = _SPLIT.fullmatch(_letters(name))
    return _SPLITS[found[1]] if found else None


def usages_of(names: Collection[str]) -> dict[str, int]:
    """Return the usage of those of `names`, the splits that lie beside each other, that are known as one.

    A test split is FER2013's PublicTest where it is all there is beside training, and is kept apart as
    PrivateTest where another one is for validation.
    """
    splits = {name: split for name in names if (split := split_of(name))}
    kept_apart = bool({"validation", "public"} & set(splits.values()))
    usages = {
        "train": TRAINING,
        "validation": PUBLIC_TEST,
        "public": PUBLIC_TEST,
        "test": PRIVATE_TEST if kept_apart else PUBLIC_TEST,
        "private": PRIVATE_TEST,
    }
    return {name: usages[split] for name, split in splits.items()}


def said_of_splits(usages: Mapping[str, int]) -> tuple[str, ...]:
    """Return a sentence for each split that counts as one of FER2013's without being called so, from its usage."""
    own = {name.lower() for name in USAGES} | {"train"}
    names = {usage: name for name, usage in USAGES.items()}
    kept_apart = {PRIVATE_TEST: ", kept apart: another split is for validation"}
    return tuple(
        f"{name} counts as {names[usage]}{kept_apart.get(usage, '')}"
        for name, usage in sorted(usages.items())
        if _letters(name) not in own
    )


def looks_like_split(column: str) -> bool:
    """Return whether a column's name, such as 'Usage_2', 'data split' or 'isTrain', promises a split."""
    words = {word.lower() for word in re.findall(r"[A-Z]*[a-z]+|[A-Z]+", column)}
    return bool(words & _SPLIT_COLUMN) or any(split_of(word) for word in words)


def _letters(name: str) -> str:
    return re.sub(r"[\W\d_]+", "", name).lower()
