"""Corpora in their public layouts: a few generated files in each one's naming scheme."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from affectd.events import LABELS, VOICE_LABELS
from affectd_convert.cli import main
from affectd_convert.datasets import fer2013, speech
from affectd_convert.errors import DataError
from affectd_convert.run_data import read_run_data
from affectd_convert.train_voice import VoiceRecipe, train_voice

RNG = np.random.default_rng(0)


def face() -> np.ndarray:
    return RNG.integers(0, 256, (48, 48), dtype=np.uint8)


def csv_row(label: object, usage: str, levels: np.ndarray) -> str:
    return f"{label},{' '.join(map(str, levels.ravel()))},{usage}"


def fer_csv(path: Path, *more: str, header: str = "emotion,pixels,Usage", usages: tuple[str, ...] = ()) -> Path:
    rows = [csv_row(k, usage, face()) for usage in usages or ("Training", "PublicTest") for k in range(7)]
    path.write_text("\n".join([header, *rows, *more]) + "\n")
    return path


def test_fer2013_csv_gives_every_split_and_names_broken_rows(tmp_path: Path) -> None:
    path = fer_csv(
        tmp_path / "fer2013.csv",
        "3,1 2 3,Training",
        csv_row("9x", "Training", face()),
        csv_row(7, "Training", face()),
        csv_row(1, "Elsewhere", face()),
        csv_row(1, "Training", face().astype(int) + 256),
        "2",
        csv_row(1, "Training", face())[:5000],
        f"1,{9**30} 2,Training",
    )
    faces = fer2013.read_fer2013(path)
    assert faces.split(fer2013.TRAINING).label.tolist() == list(range(7))
    assert faces.split(fer2013.PUBLIC_TEST).pixels.shape == (7, 48, 48)
    assert [sentence.split(":")[1] for sentence in faces.skipped] == [str(line) for line in range(16, 24)]
    assert "fer2013.csv:16: 3 pixels; expected 2304" in faces.skipped
    assert "fer2013.csv:18: emotion '7'; expected 0..6" in faces.skipped
    assert "expected 0..255" in faces.skipped[4]
    assert faces.skipped[7] == "fer2013.csv:23: a pixel of more digits than a number holds; expected 0..255"


def test_the_newer_csv_has_blanks_and_another_order_in_its_header(tmp_path: Path) -> None:
    rows = [f"{k},Training,{' '.join(map(str, face().ravel()))}" for k in range(7)]
    (tmp_path / "icml_face_data.csv").write_text("\n".join(["emotion, Usage, pixels", *rows]) + "\n")
    faces = fer2013.read_fer2013(tmp_path)
    assert faces.split(fer2013.TRAINING).label.tolist() == list(range(7))
    assert not faces.skipped


def test_a_csv_of_something_else_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("name,age\nx,3\n")
    with pytest.raises(DataError, match=r"fer2013\.csv: columns are name, age; expected emotion, pixels and Usage"):
        fer2013.read_fer2013(path)


def test_a_file_that_opens_but_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"fer2013\.csv: cannot be read: .*Input/output error"):
        fer2013.read_fer2013(path)
    (tmp_path / "faces" / "train" / "happy").mkdir(parents=True)
    (tmp_path / "faces" / "train" / "happy" / "a.png").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"no readable face; train/happy/a\.png: not a readable image"):
        fer2013.read_fer2013(tmp_path / "faces")


def test_private_test_is_read_but_reaches_neither_training_nor_validation(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    private = [csv_row(k, "PrivateTest", np.full((48, 48), 250 + k % 3, np.uint8)) for k in range(7)]
    fer_csv(path, *private)
    assert len(fer2013.read_fer2013(path).split(fer2013.PRIVATE_TEST).label) == 7
    run = tmp_path / "run"
    run.mkdir()
    preprocessing = {"size": 48, "equalize": False, "mean": 0.0, "std": 1.0}
    (run / "config.json").write_text(json.dumps({"task": "face", "preprocessing": preprocessing}))
    data = read_run_data(run, path)
    assert len(data.representative) == 7
    assert len(data.labels) == 7
    for inputs in (data.representative, data.inputs):
        assert (inputs.std(axis=(1, 2, 3)) > 1).all(), "a uniform face is one of PrivateTest"


def test_fer2013_folders_give_the_same_record(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in LABELS:
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "a.png"), face())
    (tmp_path / "train" / "happy" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "train" / "happy" / "empty.jpg").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "train" / "happy" / "tiny.png"), face()[:5, :5])
    (tmp_path / "train" / "contempt").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "contempt" / "a.png"), face())
    faces = fer2013.read_fer2013(tmp_path)
    assert sorted(faces.split(fer2013.TRAINING).label.tolist()) == list(range(7))
    assert faces.skipped == (
        "train/contempt/a.png: not a known split and label",
        "train/happy/broken.jpg: not a readable image",
        "train/happy/empty.jpg: not a readable image",
        "train/happy/tiny.png: 5x5 pixels; too small for a face",
    )


def test_beside_a_validation_folder_the_test_folder_is_kept_apart(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        for label in LABELS:
            folder = tmp_path / split / label.capitalize()
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "a.png"), face())
    assert np.bincount(fer2013.read_fer2013(tmp_path).usage).tolist() == [7, 7, 7]


def test_a_training_face_that_is_also_in_public_test_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    np.savez(
        path,
        pixels=np.stack([face() for _ in range(15)]),
        label=np.array([*range(7), *range(7), 0], np.uint8),
        usage=np.array([0] * 7 + [1] * 7 + [0], np.uint8),
        ferplus=np.ones((15, 10), np.uint8),
        corr_to_public=np.array([0.5] * 14 + [0.99], np.float32),
    )
    faces = fer2013.read_fer2013(path)
    assert len(faces.label) == 14
    assert faces.skipped[0].startswith("1 training face")


def test_a_photo_of_public_test_is_found_in_training_though_moved_mirrored_or_dimmed(tmp_path: Path) -> None:
    photos = [cv2.GaussianBlur(face(), (0, 0), 3) for _ in range(4)]
    moved = np.roll(photos[0], (3, -2), (0, 1))
    dimmed_mirror = (photos[1][:, ::-1] // 2 + 30).astype(np.uint8)
    half_of_it = np.concatenate([photos[2][:24], photos[3][24:]])
    path = fer_csv(
        tmp_path / "fer2013.csv",
        *(csv_row(3, "PublicTest", photo) for photo in photos),
        *(csv_row(4, "Training", copy) for copy in (photos[0], moved, dimmed_mirror, half_of_it)),
        csv_row(5, "PrivateTest", photos[0]),
    )
    faces = fer2013.read_fer2013(path)
    assert faces.split(fer2013.TRAINING).label.tolist() == [*range(7), 4]
    assert np.array_equal(faces.split(fer2013.TRAINING).pixels[7], half_of_it)
    assert faces.split(fer2013.PUBLIC_TEST).label.tolist() == [*range(7), 3, 3, 3, 3]
    assert faces.split(fer2013.PRIVATE_TEST).label.tolist() == [5]
    assert faces.skipped == ("3 training faces left out: practically the same photo is in PublicTest",)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip"])
def test_a_missing_or_broken_archive_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "fer2013.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"fer2013\.npz"):
        fer2013.read_fer2013(path)


def test_an_archive_damaged_inside_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    np.savez_compressed(path, pixels=np.stack([face() for _ in range(7)]), label=np.arange(7))
    content = bytearray(path.read_bytes())
    content[60:4000] = bytes(3940)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"fer2013\.npz: not a FER2013 archive: "):
        fer2013.read_fer2013(path)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    np.savez(path, pixels=np.stack([face() for _ in range(6)]), label=np.arange(6), usage=np.zeros(6))
    with pytest.raises(DataError, match="no face labelled neutral"):
        fer2013.read_fer2013(path)


def test_a_label_must_be_in_the_training_split_itself(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    pixels, label = np.stack([face() for _ in range(13)]), np.array([*range(7), *range(6)])
    np.savez(path, pixels=pixels, label=label, usage=np.array([1] * 7 + [0] * 6))
    with pytest.raises(DataError, match="no face labelled neutral"):
        fer2013.read_fer2013(path)


def test_foreign_labels_and_wrong_sizes_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    pixels = np.stack([face() for _ in range(9)])
    np.savez(path, pixels=pixels, label=np.arange(9), usage=np.zeros(9))
    assert fer2013.read_fer2013(path).skipped == (
        "2 faces left out: label not in 0..6 or usage not in 0..2, row 7 first",
    )
    np.savez(path, pixels=pixels[:, :, :40], label=np.arange(9) % 7)
    with pytest.raises(DataError, match=r"pixels is uint8 of shape \(9, 48, 40\)"):
        fer2013.read_fer2013(path)
    np.savez(path, pixels=pixels, label=np.arange(8) % 7)
    with pytest.raises(DataError, match=r"for labels of shape \(8,\)"):
        fer2013.read_fer2013(path)
    np.savez(path, pixels=pixels, label=np.arange(9) % 7, usage=np.zeros(3))
    with pytest.raises(DataError, match="not one row for each of 9 faces"):
        fer2013.read_fer2013(path)


SPEECH = {
    "ravdess/Actor_07/03-01-05-01-02-01-07.wav": ("ravdess-07", "angry"),
    "ravdess/Actor_24/03-01-02-01-02-01-24.wav": ("ravdess-24", "calm"),
    "AudioData/DC/su12.wav": ("savee-DC", "surprise"),
    "AudioData/JE/a01.wav": ("savee-JE", "angry"),
    "savee_flat/KL_n30.wav": ("savee-KL", "neutral"),
    "tess/OAF_Fear/OAF_back_fear.wav": ("tess-OAF", "fear"),
    "tess/OAF_neutral/OA_bite_neutral.wav": ("tess-OAF", "neutral"),
    "tess/YAF_pleasant_surprised/YAF_dog_ps.wav": ("tess-YAF", "surprise"),
    "tess/YAF_pleasant_surprised/YAF_dog_pleasant_surprised.wav": ("tess-YAF", "surprise"),
    "AudioWAV/1001_DFA_DIS_XX.wav": ("cremad-1001", "disgust"),
}


def sound(path: Path, samples: int = 1600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(samples), 16_000)


def test_every_corpus_is_read_from_its_own_names(tmp_path: Path) -> None:
    for name in SPEECH:
        sound(tmp_path / name)
    found = speech.survey_speech(tmp_path)
    assert {str(c.path.relative_to(tmp_path)): (c.speaker, c.emotion) for c in found.clips} == SPEECH
    assert not found.skipped
    assert speech.read_speech(tmp_path) == list(found.clips)
    assert all(0 <= clip.label < len(VOICE_LABELS) for clip in found.clips)
    assert {speech.fold_of(clip) for clip in found.clips if clip.corpus == "ravdess"} == {1, 3}


def test_what_cannot_be_used_of_speech_is_named_and_counted(tmp_path: Path) -> None:
    clip = "Actor_07/03-01-05-01-02-01-07.wav"
    for name in (
        clip,
        # The popular copy of RAVDESS holds every clip twice.
        f"audio_speech_actors_01-24/{clip}",
        "Actor_07/03-02-05-01-02-01-07.wav",
        "Actor_07/02-01-05-01-02-01-07.wav",
        "notes/hello.wav",
        "AudioWAV/1001_DFA_XXX_XX.wav",
        "Actor_25/03-01-05-01-02-01-25.wav",
        "Actor_25/03-01-05-01-02-01-00.wav",
    ):
        sound(tmp_path / name)
    sound(tmp_path / "AudioWAV/1001_DFA_ANG_XX.wav", samples=0)
    (tmp_path / "AudioWAV/1001_DFA_SAD_XX.wav").write_bytes(b"RIFF")
    (tmp_path / "README.txt").write_text("not a sound")
    found = speech.survey_speech(tmp_path)
    assert [str(one.path.relative_to(tmp_path)) for one in found.clips] == [clip]
    assert [speech.fold_of(one) for one in found.clips] == [1]
    named = "not named as RAVDESS, SAVEE, TESS or CREMA-D name theirs; RAVDESS has actors 01 to 24"
    assert found.skipped == (
        f"Actor_25/03-01-05-01-02-01-00.wav: {named}",
        f"Actor_25/03-01-05-01-02-01-25.wav: {named}",
        "AudioWAV/1001_DFA_ANG_XX.wav: holds 0 ms of sound; too little for a word",
        "AudioWAV/1001_DFA_SAD_XX.wav: not a readable sound file",
        "AudioWAV/1001_DFA_XXX_XX.wav: not named as RAVDESS, SAVEE, TESS or CREMA-D name theirs",
        "notes/hello.wav: not named as RAVDESS, SAVEE, TESS or CREMA-D name theirs",
        "2 RAVDESS files that are songs or belong to a video: only its audio-only speech is used",
        "1 second copies of a clip in another folder",
    )


def test_a_label_without_any_clip_cannot_be_trained_on(tmp_path: Path) -> None:
    for name in SPEECH:
        sound(tmp_path / name)
    with pytest.raises(DataError, match="no clip labelled happy, sad; add a corpus that has some"):
        train_voice(tmp_path, tmp_path / "run", VoiceRecipe(fold=1))
    (tmp_path / "ravdess" / "Actor_24" / "03-01-02-01-02-01-24.wav").unlink()
    with pytest.raises(DataError, match="no clip labelled happy, sad, calm; only RAVDESS has calm; add"):
        train_voice(tmp_path, tmp_path / "run", VoiceRecipe(fold=1))
    assert not (tmp_path / "run").exists()


def test_the_summary_says_what_is_there_what_is_left_out_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Actor_07/03-01-05-01-02-01-07.wav", "Actor_24/03-01-02-01-02-01-24.wav"):
        sound(tmp_path / name)
    for number in range(30):
        sound(tmp_path / f"other{number:02d}.wav")
    assert main(["datasets", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "RAVDESS (CC BY-NC-SA 4.0)\n  2 clips of 2 speakers: angry 1, calm 1\n" in said
    assert "TESS: not here\n" in said
    assert "no clip labelled disgust, fear, happy, neutral, sad, surprise" in said
    assert "folds that speakers can be held out by: 1, 3\n" in said
    assert "left out, 30 in all:\n  other00.wav: not named" in said
    assert "  and 10 more\n" in said


def test_the_summary_of_faces_names_an_empty_class_and_says_what_private_test_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fer_csv(tmp_path / "fer2013.csv", csv_row(3, "PrivateTest", face()), "0,1 2,Training")
    assert main(["datasets", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Training        7 faces: angry 1, disgust 1" in said
    assert "PrivateTest     1 faces, never used in training: angry 0" in said
    assert "PrivateTest: no face labelled angry, disgust, fear, sad, surprise, neutral" in said
    assert "left out:\n  fer2013.csv:17: 2 pixels; expected 2304" in said


def test_nothing_there_is_a_sentence_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "none.csv", tmp_path):
        assert main(["datasets", str(path)]) == DataError.exit_code
        assert capsys.readouterr().err.startswith(f"affectd-convert: {path}: no ")


def test_samples_come_mono_at_the_rate_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    soundfile.write(path, np.column_stack([tone, tone]), 48_000)
    samples = speech.read_samples(path, 16_000)
    assert samples.dtype == np.int16
    assert len(samples) == 16_000
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() == 440


def test_unreadable_and_empty_sound_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "b.wav", np.zeros(0), 16_000)
    with pytest.raises(DataError, match=r"a\.wav: not a readable sound file"):
        speech.read_samples(tmp_path / "a.wav", 16_000)
    with pytest.raises(DataError, match=r"b\.wav: holds no sound"):
        speech.read_samples(tmp_path / "b.wav", 16_000)
    with pytest.raises(DataError, match="no clip named as"):
        speech.read_speech(tmp_path)
