"""The papers' protocols: which splits leak, what the networks are given, and results that survive a stop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.events import LABELS, VOICE_LABELS
from affectd_convert.datasets import speech
from affectd_convert.datasets.fer2013 import PUBLIC_TEST, TRAINING, FaceSet
from affectd_convert.errors import DataError
from affectd_convert.papers import __main__ as program
from affectd_convert.papers import experiments, face, results, voice
from affectd_convert.papers.splits import Split, at_random, speakers_apart

RESULT = results.Result(
    protocol="das-mlp",
    split="speakers apart",
    epochs=3,
    trained=80,
    tested=20,
    leak=0.0,
    train_accuracy=1.0,
    accuracy=0.5,
    macro_f1=0.4,
    uar=0.45,
    ravdess_accuracy=None,
    seconds=1.0,
)


def clips() -> list[speech.Utterance]:
    """Twenty actors of RAVDESS, four men of SAVEE and two women of TESS, two clips of each emotion each."""
    speakers = [("ravdess", f"ravdess-{n:02d}") for n in range(1, 21)]
    speakers += [("savee", f"savee-{name}") for name in ("DC", "JE", "JK", "KL")]
    speakers += [("tess", "tess-OAF"), ("tess", "tess-YAF")]
    return [
        speech.Utterance(corpus, Path(f"{speaker}-{emotion}-{take}.wav"), speaker, emotion)
        for corpus, speaker in speakers
        for emotion in (VOICE_LABELS if corpus == "ravdess" else LABELS)
        for take in range(2)
    ]


def write_clip(path: Path, seconds: float, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).standard_normal(round(seconds * 16_000)) * 0.1
    soundfile.write(path, noise.astype(np.float32), 16_000)


def test_a_random_split_leaks_every_voice_and_one_by_speakers_none() -> None:
    heard = clips()
    speakers = [clip.speaker for clip in heard]
    assert voice.SPLITS["random 80/20"](heard).leak(speakers) == 1.0
    assert voice.SPLITS["speakers apart"](heard).leak(speakers) == 0.0


def test_speakers_apart_tests_on_somebody_of_every_corpus_and_uses_every_clip() -> None:
    heard = clips()
    split = speakers_apart(heard)
    assert {heard[row].speaker for row in split.test} == {
        *(f"ravdess-{n:02d}" for n in speech.RAVDESS_FOLDS[3] if n <= 20),
        "savee-KL",
        "tess-YAF",
    }
    assert sorted([*split.train, *split.test]) == list(range(len(heard)))


def test_speakers_of_a_corpus_with_only_one_cannot_be_kept_apart() -> None:
    lonely = [clip for clip in clips() if clip.speaker != "tess-OAF"]
    with pytest.raises(DataError, match="tess: needs speakers on both sides"):
        speakers_apart(lonely)


def test_a_random_split_has_its_shares_no_row_twice_and_is_the_same_again() -> None:
    split, again = (at_random(200, train=0.70, test=0.15, seed=4) for _ in range(2))
    assert (len(split.train), len(split.test)) == (140, 30)
    assert not set(split.train) & set(split.test)
    assert np.array_equal(split.test, again.test)
    assert not np.array_equal(split.test, at_random(200, train=0.70, test=0.15, seed=5).test)


def test_leak_counts_the_test_rows_whose_group_is_trained_on() -> None:
    split = Split(np.array([0, 1]), np.array([2, 3, 4, 5]))
    assert split.leak(["a", "b", "b", "c", "a", "a"]) == 0.75


def test_faces_are_split_as_published_or_at_random() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (100, 48, 48), dtype=np.uint8)
    usage = np.repeat([TRAINING, PUBLIC_TEST], [80, 20])
    faces = FaceSet(pixels, rng.integers(0, 7, 100), usage, np.zeros((100, 7), np.float32))
    official = face.SPLITS["official"](faces)
    assert np.array_equal(official.test, np.arange(80, 100))
    assert np.array_equal(official.train, np.arange(80))
    assert len(face.SPLITS["random 70/15/15"](faces).test) == 15
    assert face.network_inputs(pixels).shape == (100, 48, 48, 1)
    assert face.network_inputs(pixels).max() == 1.0


def test_calm_is_neutral_where_a_paper_has_seven_labels() -> None:
    calm = [replace(clips()[0], emotion="calm")]
    assert voice.label_numbers(calm, LABELS) == [LABELS.index("neutral")]
    assert voice.label_numbers(calm, VOICE_LABELS) == [VOICE_LABELS.index("calm")]


@pytest.mark.parametrize("summary", [False, True])
def test_inputs_are_normalized_by_the_training_rows_alone(summary: bool) -> None:
    rng = np.random.default_rng(2)
    frames = rng.normal(3.0, 2.0, (6, 300, 83)).astype(np.float16)
    frames[:, :100] = 0
    train = np.arange(4)
    inputs = voice.network_inputs(frames, train, summary=summary)
    frames[4:] *= 5
    louder = voice.network_inputs(frames, train, summary=summary)
    assert np.array_equal(inputs[train], louder[train])
    assert not np.allclose(inputs[4:], louder[4:])
    heard = inputs[train] if summary else inputs[train][:, 100:]
    assert abs(float(heard.mean())) < 0.01
    assert abs(float(heard.std()) - 1) < 0.05


def test_padding_stays_at_the_training_mean() -> None:
    frames = np.random.default_rng(2).normal(3.0, 2.0, (4, 300, 83)).astype(np.float16)
    frames[:, :100] = 0
    assert not voice.network_inputs(frames, np.arange(3), summary=False)[:, :100].any()


def test_windows_are_computed_once(tmp_path: Path) -> None:
    files = [tmp_path / "03-01-05-01-02-01-07.wav", tmp_path / "03-01-03-01-02-01-08.wav"]
    for seed, (file, seconds) in enumerate(zip(files, (1.0, 4.0), strict=True)):
        write_clip(file, seconds, seed)
    heard = speech.read_speech(tmp_path)
    first = voice.windows(heard, tmp_path)
    assert first.shape == (2, 300, 83)
    padded = {clip.path.name: int((~np.any(w != 0, axis=1)).sum()) for clip, w in zip(heard, first, strict=True)}
    assert padded[files[1].name] == 0
    assert 190 < padded[files[0].name] < 210
    for file in files:
        file.unlink()
    assert np.array_equal(voice.windows(heard, tmp_path), first)


def test_results_are_kept_one_by_one_and_shown_in_a_table(tmp_path: Path) -> None:
    assert results.read(tmp_path) == []
    results.add(tmp_path, RESULT)
    results.add(tmp_path, replace(RESULT, split="random 80/20", accuracy=0.987, ravdess_accuracy=0.25))
    kept = results.read(tmp_path)
    assert [one.split for one in kept] == ["speakers apart", "random 80/20"]
    last = results.table(kept).splitlines()[-1]
    assert last.startswith("| das-mlp | random 80/20 | 3 | 80 | 20 | 0.0% | 100.0% | 98.7% |")
    assert last.endswith("| 25.0% |")


def test_a_foreign_results_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / results.FILE
    file.write_text('[{"protocol": "x"}]')
    with pytest.raises(DataError, match="not results of this program"):
        results.read(tmp_path)
    assert file.exists()


def test_what_has_a_result_is_not_run_again(tmp_path: Path) -> None:
    for split in voice.SPLITS:
        results.add(tmp_path, replace(RESULT, split=split))
    # There is no data: anything to run would be refused.
    experiments.run_missing(["das-mlp"], tmp_path / "nothing", tmp_path)
    with pytest.raises(DataError):
        experiments.run_missing(["dargula-cnn"], tmp_path / "nothing", tmp_path)


def test_a_missing_corpus_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "data" / "03-01-05-01-02-01-07.wav", 1.0, 0)
    options = ["--data", str(tmp_path / "data"), "--run", str(tmp_path / "run"), "--protocol", "gandhi-cnn-lstm"]
    assert program.main(options) == DataError.exit_code
    assert "gandhi-cnn-lstm needs savee" in capsys.readouterr().err
