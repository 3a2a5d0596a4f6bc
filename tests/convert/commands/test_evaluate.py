"""affectd-convert evaluate on the shipped bundles, and on data as people have it: partial, foreign, broken."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.model import open_model
from affectd_convert.commands.main import main
from affectd_convert.evaluation.robustness import scenes
from support.bundles import broken
from support.scenes import PORTRAIT
from support.speech import speech

MODELS = Path(__file__).parents[3] / "models"
FACE, VOICE = MODELS / "face-vgg16", MODELS / "voice-cnn-lstm"


@pytest.fixture(scope="module")
def faces():
    """Pictures that are no faces but differ, (12, 48, 48) uint8."""
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.integers(-20, 21, (12, 48, 48)), axis=2)
    return np.clip(128 + walks, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with index.csv: four good sounds of two rates and channels, and four that cannot be scored."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "sounds").mkdir()
    spoken = speech(folder, "Kids are talking by the door, and dogs are sitting by the door. " * 2) / 32768
    soundfile.write(folder / "sounds" / "one.wav", spoken[:40_000], 16_000)
    soundfile.write(folder / "sounds" / "two.flac", np.stack([spoken[20_000:90_000]] * 2, axis=1), 44_100)
    soundfile.write(folder / "sounds" / "three.ogg", spoken[:80_000], 16_000)
    soundfile.write(folder / "sounds" / "four.wav", -spoken[30_000:70_000], 8_000)
    (folder / "sounds" / "broken.wav").write_bytes(b"no sound")
    soundfile.write(folder / "sounds" / "click.wav", spoken[:320], 16_000)
    rows = [
        ("sounds/one.wav", "happy", "ann"),
        ("sounds/two.flac", "Sad", "bob"),
        ("sounds/three.ogg", "happy", "ann"),
        ("sounds/four.wav", "calm", "bob"),
        ("sounds/one.wav", "bored", "ann"),
        ("sounds/broken.wav", "sad", "ann"),
        ("sounds/missing.wav", "sad", "ann"),
        ("sounds/click.wav", "sad", "ann"),
    ]
    with (folder / "index.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "emotion", "speaker"), *rows])
    return folder


def evaluate(capsys, *arguments):
    """Return the exit code, the JSON on stdout (None without) and stderr."""
    code = main(["evaluate", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_faces_of_a_few_labels_are_answered_as_the_daemon_would(faces, tmp_path, capsys):
    label = np.array([3, 6] * 6, np.uint8)
    np.savez(tmp_path / "faces.npz", pixels=faces, label=label)
    code, scores, _ = evaluate(capsys, "--model", FACE, "--variant", "int8", "--data", tmp_path / "faces.npz")
    model = open_model(Bundle.load(FACE), "int8")
    prepare = FacePreprocessing.from_manifest(model.bundle.preprocessing).prepare
    answers = np.array([np.argmax(model.probabilities(prepare(face)[np.newaxis])) for face in faces])
    assert code == 0
    assert {"accuracy", "macro_f1", "uar", "ece", "n", "per_class", "confusion"} <= set(scores)
    assert scores["n"] == 12
    assert scores["accuracy"] == pytest.approx(np.mean(answers == label), abs=1e-6)
    assert scores["uar"] == pytest.approx(np.mean([np.mean(answers[label == k] == k) for k in (3, 6)]), abs=1e-6)
    assert [sum(row) for row in scores["confusion"]] == [0, 0, 0, 6, 0, 0, 6]
    assert set(scores["per_class"]) == set(LABELS)
    assert scores["per_class"]["fear"]["recall"] is None


def test_splits_are_those_of_usage_and_training_is_left_out(faces, tmp_path, capsys):
    data = tmp_path / "faces.npz"
    np.savez(data, pixels=faces, label=np.arange(12) % 7, usage=np.repeat([0, 1, 2], (6, 4, 2)))
    counts = {}
    for split in (None, "training", "public", "private"):
        chosen = [] if split is None else ["--split", split]
        counts[split] = evaluate(capsys, "--model", FACE, "--data", data, *chosen)[1]["n"]
    assert counts == {None: 6, "training": 6, "public": 4, "private": 2}
    np.savez(data, pixels=faces, label=np.arange(12) % 7, usage=np.zeros(12))
    code, scores, err = evaluate(capsys, "--model", FACE, "--data", data)
    assert (code, scores) == (5, None)
    assert "no face of any split but training; it has training: choose one with --split" in err


def test_every_sound_that_can_be_read_counts_and_the_others_are_named(clips, capsys):
    for given in (clips, clips / "index.csv"):
        code, scores, err = evaluate(capsys, "--model", VOICE, "--variant", "float16", "--data", given)
        assert code == 0
        assert scores["n"] == 4
        assert scores["per_class"]["happy"]["n"] == 2
        assert "index.csv:6: sounds/one.wav: label 'bored' is none of angry, disgust" in err
        assert "broken.wav: not a readable sound file" in err
        assert "missing.wav" in err
        assert "index.csv:9: sounds/click.wav: holds 20 ms of sound; too little to tell anything from" in err
        assert len(scores["skipped"]) == 4


def test_both_runtimes_score_alike(clips, capsys):
    scores = [
        evaluate(capsys, "--model", VOICE, "--data", clips, "--runtime", runtime)[1]
        for runtime in ("litert", "tflite-runtime")
    ]
    assert scores[0]["confusion"] == scores[1]["confusion"]


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (None, "index.csv: not there; expected a csv with the columns file and emotion"),
        ("path,label\na.wav,sad\n", "columns are path, label; expected file and emotion"),
        ("file,emotion\nsounds/a.wav,bored\n", "no sound to score; index.csv:2: sounds/a.wav: label 'bored'"),
        ("file,emotion\n", "no sound to score; it has no rows"),
        ("", "columns are none; expected file and emotion"),
    ],
)
def test_an_index_that_cannot_be_scored_is_refused(index, said, tmp_path, capsys):
    if index is not None:
        (tmp_path / "index.csv").write_text(index)
    code, scores, err = evaluate(capsys, "--model", VOICE, "--data", tmp_path)
    assert (code, scores) == (5, None)
    assert said in err


def test_speech_has_no_splits_of_faces(clips, capsys):
    code, _, err = evaluate(capsys, "--model", VOICE, "--data", clips, "--split", "public")
    assert code == 5
    assert "no split of data for the voice; there are fold0, fold1" in err


def test_a_fold_is_answered_by_the_model_that_never_heard_it(tmp_path, capsys):
    bundle, corpora = tmp_path / "voice", tmp_path / "corpora"
    shutil.copytree(VOICE, bundle / "folds" / "fold0", ignore=shutil.ignore_patterns("training", "folds"))
    shutil.copytree(VOICE, bundle, dirs_exist_ok=True, ignore=shutil.ignore_patterns("training", "folds"))
    (bundle / "voice-cnn-lstm-int8.tflite").write_bytes(b"heard everybody")
    corpora.mkdir()
    spoken = speech(tmp_path, "Kids are talking by the door.") / 32768
    for actor in ("02", "03", "05"):
        soundfile.write(corpora / f"03-01-05-01-01-01-{actor}.wav", spoken, 16_000)
    code, document, _ = evaluate(capsys, "--model", bundle, "--data", corpora, "--split", "fold0")
    assert code == 0
    assert document["n"] == 2
    code, _, err = evaluate(capsys, "--model", bundle, "--data", corpora, "--split", "fold1")
    assert code == 5
    assert "fold1 is not there" in err


def test_all_folds_together_are_what_each_says_and_their_windows_are_counted_too(tmp_path, capsys):
    spoken = speech(tmp_path, "Kids are talking by the door, and dogs are sitting by the door. " * 2) / 32768
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    for number, actor in enumerate(("02", "05", "03", "06", "10", "11", "08", "17")):
        sound = np.roll(spoken, 3000 * number)[: 16_000 * (2 + number % 4)]
        soundfile.write(corpora / f"03-01-05-01-01-01-{actor}.wav", sound, 16_000)
    each = [evaluate(capsys, "--model", VOICE, "--data", corpora, "--split", f"fold{fold}")[1] for fold in range(4)]
    code, together, _ = evaluate(capsys, "--model", VOICE, "--data", corpora, "--split", "folds")
    assert code == 0
    assert together["n"] == sum(one["n"] for one in each) == 8
    assert np.array_equal(together["confusion"], np.sum([one["confusion"] for one in each], axis=0))
    assert together["windows"]["n"] == sum(one["windows"]["n"] for one in each) > 8
    assert [fold["accuracy"] for fold in together["folds"].values()] == [one["accuracy"] for one in each]
    for fold, one in zip(together["folds"].values(), each, strict=True):
        # Two clips are never right just as often as is expected.
        assert fold["ece"] == one["ece"] and fold["ece_by_chance"] > 0.05
    assert main(["evaluate", "--model", str(VOICE), "--data", str(corpora), "--split", "folds"]) == 0
    assert f"of their {together['windows']['n']} windows, as the daemon answers: ECE " in capsys.readouterr().out


def test_a_bundle_without_folds_says_so(tmp_path, capsys):
    shutil.copytree(VOICE, tmp_path / "voice", ignore=shutil.ignore_patterns("training", "folds"))
    code, _, err = evaluate(capsys, "--model", tmp_path / "voice", "--data", tmp_path, "--split", "folds")
    assert code == 5
    assert "folds is not there; the bundle was made without them" in err


def test_a_table_and_pictures_for_people(clips, tmp_path, capsys):
    assert main(["evaluate", "--model", str(VOICE), "--data", str(clips), "--plots", str(tmp_path / "plots")]) == 0
    out = capsys.readouterr().out
    assert "voice-cnn-lstm" in out
    assert "4 samples" in out
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"confusion.png", "reliability.png"}


def test_adverse_conditions_stand_beside_the_clean_figure(clips, capsys):
    _, scores, err = evaluate(capsys, "--model", VOICE, "--data", clips, "--robustness")
    rows = {row["condition"]: row for row in scores["robustness"]}
    assert next(iter(rows)) == "clean"
    assert rows["clean"]["accuracy"] == scores["accuracy"]
    assert {"babble, 0 dB SNR", "fan, 20 dB SNR", "reverberation, RT60 0.6 s"} <= set(rows)
    assert err.count("UAR") == len(rows)


def test_faces_in_a_scene_have_rows_of_their_own(tmp_path, capsys):
    picture = cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE)
    face = cv2.resize(picture[64:180, 167:283], (48, 48), interpolation=cv2.INTER_AREA)
    np.savez(tmp_path / "faces.npz", pixels=np.stack([face, np.full_like(face, 128)]), label=np.array([3, 3]))
    given = ["--model", FACE, "--variant", "int8", "--data", tmp_path / "faces.npz", "--robustness"]
    assert main(["evaluate", *map(str, given)]) == 0
    out, err = capsys.readouterr()
    crops, _, table = out.partition("\nfrom the scene, where the face must be found first: 2 faces\n")
    assert "ready crops, which need no finding" in crops
    title, *shown = table.splitlines()
    assert title.split() == ["condition", "found", "right", "of", "all", "of", "found"]
    assert [line[:36].rstrip() for line in shown] == list(scenes.conditions())
    assert shown[0].split()[-3:] == ["0.5000", "0.5000", "1.0000"]
    assert err.count("right of all") == len(shown)


def test_no_tensorflow_is_needed(faces, tmp_path):
    np.savez(tmp_path / "faces.npz", pixels=faces[:2], label=np.array([0, 1]))
    program = (
        "import sys; from affectd_convert.commands.main import main;"
        "code = main(['evaluate', '--model', sys.argv[1], '--data', sys.argv[2], '--json']);"
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules); sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", program, FACE, tmp_path / "faces.npz"], check=True)


def test_strategies_are_scored_on_pairs_of_one_label(faces, tmp_path, capsys):
    np.savez(tmp_path / "faces.npz", pixels=faces, label=np.array([0] * 4 + [3] * 4 + [6] * 4), usage=np.ones(12))
    corpora, plots = tmp_path / "corpora", tmp_path / "plots"
    corpora.mkdir()
    spoken = speech(tmp_path, "Kids are talking by the door.") / 32768
    for number, actor in enumerate(("02", "05", "03", "06", "10", "11", "08", "17")):
        soundfile.write(corpora / f"03-01-{5 if number % 2 else 3:02}-01-01-01-{actor}.wav", spoken, 16_000)
    parts = ("--fusion", "--face", FACE, "--voice", VOICE, "--faces", tmp_path / "faces.npz", "--speech", corpora)
    code, scores, _ = evaluate(capsys, *parts, "--split", "public", "--plots", plots)
    assert code == 0
    assert scores["pairs"] == 16
    of = {(row["case"], row["strategy"]): row for row in scores["cases"]}
    assert {strategy for _, strategy in of} == {"adaptive", "weighted_average", "hybrid", "face", "voice"}
    clear = {strategy: row for (case, strategy), row in of.items() if case == "both clear"}
    for missing, alone in (("no voice", "face"), ("no face", "voice")):
        other = "voice" if alone == "face" else "face"
        assert of[missing, "adaptive"]["accuracy"] == clear[alone]["accuracy"]
        assert (of[missing, other]["accuracy"], of[missing, other]["named"]) == (0, 0)
    assert of["wrong face", "voice"] == clear["voice"] | {"case": "wrong face"}
    assert clear["hybrid"]["named"] <= clear["adaptive"]["named"] == 1
    weights = {row["voice_weight"]: row for row in scores["weighted_average"] if row["case"] == "both clear"}
    assert [weights[weight]["accuracy"] for weight in (0.0, 1.0)] == [
        clear[one]["accuracy"] for one in ("face", "voice")
    ]
    assert len(scores["learned"][1]["weights"]) == 2
    assert [path.name for path in plots.iterdir()] == ["fusion.png"]


def of_two_labels(bundle, folder):
    """Copy the shipped voice and its folds as one that knows angry and happy only."""

    def only_two(manifest):
        skill = dict(zip(manifest["labels"], manifest["skill"], strict=True))
        manifest["outputs"] = [label if label in {"happy", "angry"} else None for label in manifest["labels"]]
        manifest |= {"labels": ["angry", "happy"], "skill": [skill["angry"], skill["happy"]]}

    copy = broken(bundle, folder, only_two)
    shutil.rmtree(copy / "folds")
    for fold in sorted((bundle / "folds").iterdir()):
        broken(fold, copy / "folds", only_two)
    return copy


def test_a_voice_of_fewer_labels_is_scored_on_those_it_knows(faces, tmp_path, capsys):
    np.savez(tmp_path / "faces.npz", pixels=faces, label=np.array([0] * 4 + [3] * 4 + [6] * 4), usage=np.ones(12))
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    spoken = speech(tmp_path, "Kids are talking by the door.") / 32768
    noise = np.random.default_rng(0).normal(0, 0.02, 48_000)
    for number, actor in enumerate(("02", "05", "03", "06", "10", "11", "08", "17")):
        samples = noise if actor == "17" else spoken
        soundfile.write(corpora / f"03-01-{5 if number % 2 else 3:02}-01-01-01-{actor}.wav", samples, 16_000)
    soundfile.write(corpora / "03-01-08-01-01-01-02.wav", spoken, 16_000)
    voice = of_two_labels(Path(VOICE), tmp_path)
    parts = ("--fusion", "--face", FACE, "--voice", voice, "--faces", tmp_path / "faces.npz", "--speech", corpora)
    code, scores, err = evaluate(capsys, *parts, "--split", "public", "--a-voice", "1")
    assert code == 0
    assert scores["pairs"] == 8
    assert "1 clips labelled surprise" in err
    of = {(row["case"], row["strategy"]): row for row in scores["cases"]}
    # In noise nothing is read.
    assert of["no face", "voice"]["named"] == 7 / 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "--model and --data are needed, or --fusion"), (["--fusion"], "needs --face, --voice, --faces, --speech")],
)
def test_what_is_to_be_scored_must_be_named(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *arguments])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
