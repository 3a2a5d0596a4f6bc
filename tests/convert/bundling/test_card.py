"""What the card says of a model: worked out by hand from a confusion matrix, and whole for a shipped bundle."""

from pathlib import Path

import numpy as np

from affectd.inference.bundle import Bundle
from affectd_convert.bundling.card import known_failures, write_card, write_fold_card
from affectd_convert.evaluation.cost import Cost
from affectd_convert.evaluation.metrics import Evaluation
from affectd_convert.evaluation.report import Report, WindowCalibration
from affectd_convert.evaluation.robustness.table import Robustness, Row

MODELS = Path(__file__).parents[3] / "models"
CONFUSION = np.array([[9, 1, 0, 0], [2, 5, 3, 0], [0, 0, 0, 0], [0, 8, 1, 1]])


def test_failures_are_the_worst_recalls_and_what_they_are_taken_for():
    lines = known_failures(Evaluation(("a", "b", "c", "d"), CONFUSION, 0.0))
    assert [line[:5] for line in lines] == ["- `d`", "- `b`", "- `a`"]
    assert lines[0] == (
        "- `d`: 10% are found; taken most often for `b` (80%) and `c` (10%). Of what is called so, 100% is."
    )
    assert lines[2].startswith("- `a`: 90% are found; taken most often for `b` (10%). Of")


def test_a_model_without_failures_says_so():
    assert known_failures(Evaluation(("a", "b"), np.diag([3, 4]), 0.0)) == [
        "None on this split: every label was found every time."
    ]


AGAIN = "affectd-convert evaluate --model models/face-vgg16"


def report_of(bundle, windows=None):
    evaluation = Evaluation(bundle.labels, np.eye(len(bundle.labels), dtype=np.int64) * 3, 0.02)
    return Report("made up", AGAIN, 1.0, {"int8": evaluation}, {}, np.zeros(0, np.int64), windows, 0.0312)


def card(robustness=None, bundle=None, windows=None, **changes):
    bundle = bundle or Bundle.load(MODELS / "face-vgg16")
    cost = Cost(16_295_623, 703_618_048, 1.94, "LiteRT 2.3.0", "some machine")
    given = {
        "parity": [],
        "parity_on": "every window of some clips",
        "remarks": [],
        "pictures": ["confusion.png"],
        "costs": {"int8": [cost]},
        "quantization": None,
        "robustness": robustness,
        "calibrated_on": None,
        "commands": ["affectd-convert train face"],
        "note": "A note.",
        "protocol": "Trained so.\n\nValidated so.",
    }
    return write_card(bundle, report_of(bundle, windows), **{**given, **changes})


def test_a_card_holds_what_a_reader_must_know():
    text = card()
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "Intended use",
        "Misuse",
        "Training data",
        "Protocol",
        "Figures",
        "Per label (int8, FER2013 PublicTest)",
        "Known failures",
        "Variants against their float parent",
        "Cost",
        "Made by",
    ]
    for said in (
        "Article 5(1)(f)",
        "research use (FER2013",
        "the ECE is cross-fitted",
        "A perfectly calibrated model with the confidences of int8 would show an ECE of 0.0312 on so many samples.",
        f"```\n{AGAIN}\n```",
        "Parameters: 16,295,623 as deployed",
        "703,618,048",
        "- FER2013: photographs found on the web",
        "Pictures in `training/`: `confusion.png` (the confusion matrix).\n",
        "| int8 | 16,428,240 | LiteRT 2.3.0 | 1.94 |",
    ):
        assert said in text
    assert "fitted on FER2013 elsewhere." in card(calibrated_on="FER2013 elsewhere")


def test_parity_and_calibration_of_a_voice_say_what_they_are_of():
    bundle = Bundle.load(MODELS / "voice-cnn-lstm")
    windows = WindowCalibration(2274, {"int8": 0.02784, "float16": 0.031})
    text = card(bundle=bundle, windows=windows)
    assert "On every window of some clips.\n\n| variant | runtime | agreement" in text
    assert "Temperature and ECE are per clip, of the mean of its windows' logits.\n" in text
    assert "of these, 2274 windows, the ECE is 0.0278 (int8), 0.0310 (float16).\n" in text
    assert "per clip" not in card()
    fold = write_fold_card(bundle, "whole", report=report_of(bundle, windows), calibrated_on="the other folds")
    assert [line for line in fold.splitlines() if line.startswith("## ")] == ["## Figures", "## Training data"]
    assert "so that its figure in the card of [whole](../../CARD.md) can be measured again" in fold
    assert "fitted on the other folds. Temperature and ECE are per clip" in fold
    assert "of these, 2274 windows, the ECE is 0.0278" in fold


def test_adverse_conditions_stand_beside_the_clean_figure():
    rows = (Row("clean", 0.64, 0.55), Row("blur, sigma 2 px", 0.31, 0.24))
    text = card(Robustness("FER2013 PublicTest", 3589, "int8", rows, "affectd-convert evaluate --robustness"))
    assert "| clean | 0.6400 | 0.5500 |" in text
    assert "| blur, sigma 2 px | 0.3100 (-0.3300) | 0.2400 (-0.3100) |" in text
    assert "affectd-convert evaluate --robustness" in text
