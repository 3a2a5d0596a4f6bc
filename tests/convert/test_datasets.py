"""Corpora in their public layouts: a few generated files in each one's naming scheme."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from affectd.events import LABELS, VOICE_LABELS
from affectd_convert.datasets import fer2013, speech
from affectd_convert.errors import DataError

RNG = np.random.default_rng(0)


def face() -> np.ndarray:
    return RNG.integers(0, 256, (48, 48), dtype=np.uint8)


def test_fer2013_csv_gives_every_split_and_names_broken_rows(tmp_path: Path) -> None:
    rows = ["emotion,pixels,Usage"]
    rows += [f"{k},{' '.join(map(str, face().ravel()))},Training" for k in range(7)]
    rows += [f"{k},{' '.join(map(str, face().ravel()))},PublicTest" for k in range(7)]
    rows += ["3,1 2 3,Training", f"9x,{' '.join(map(str, face().ravel()))},Training"]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(rows) + "\n")
    faces = fer2013.read_fer2013(path)
    assert faces.split(fer2013.TRAINING).label.tolist() == list(range(7))
    assert faces.split(fer2013.PUBLIC_TEST).pixels.shape == (7, 48, 48)
    assert [sentence.split(":")[1] for sentence in faces.skipped] == ["16", "17"]


def test_fer2013_folders_give_the_same_record(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in LABELS:
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "a.png"), face())
    (tmp_path / "train" / "happy" / "broken.jpg").write_bytes(b"no picture")
    faces = fer2013.read_fer2013(tmp_path)
    assert sorted(faces.split(fer2013.TRAINING).label.tolist()) == list(range(7))
    assert len(faces.skipped) == 1
    assert "broken.jpg" in faces.skipped[0]


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


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip"])
def test_a_missing_or_broken_archive_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "fer2013.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"fer2013\.npz"):
        fer2013.read_fer2013(path)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    np.savez(path, pixels=np.stack([face() for _ in range(6)]), label=np.arange(6), usage=np.zeros(6))
    with pytest.raises(DataError, match="neutral"):
        fer2013.read_fer2013(path)


SPEECH = {
    "ravdess/Actor_07/03-01-05-01-02-01-07.wav": ("ravdess-07", "angry"),
    "ravdess/Actor_24/03-01-02-01-02-01-24.wav": ("ravdess-24", "calm"),
    "savee/DC/su12.wav": ("savee-DC", "surprise"),
    "savee_flat/KL_n30.wav": ("savee-KL", "neutral"),
    "tess/OAF_Fear/OAF_back_fear.wav": ("tess-OAF", "fear"),
    "tess/YAF_pleasant_surprised/YAF_dog_ps.wav": ("tess-YAF", "surprise"),
    "AudioWAV/1001_DFA_DIS_XX.wav": ("cremad-1001", "disgust"),
}


def test_every_corpus_is_read_from_its_own_names(tmp_path: Path) -> None:
    for name in [*SPEECH, "ravdess/Actor_07/02-01-05-01-02-01-07.wav", "notes/hello.wav"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(160), 16_000)
    clips = speech.read_speech(tmp_path)
    assert {str(c.path.relative_to(tmp_path)): (c.speaker, c.emotion) for c in clips} == SPEECH
    assert all(0 <= clip.label < len(VOICE_LABELS) for clip in clips)
    assert {speech.fold_of(clip) for clip in clips if clip.corpus == "ravdess"} == {1, 3}


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
