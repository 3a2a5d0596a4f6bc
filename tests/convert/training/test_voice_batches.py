"""What a voice is trained on: renditions of its clips, their windows, and the name of its figures."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.events import VOICE_LABELS
from affectd.voice.features import MfccExtractor, MfccFeatures
from affectd_convert.datasets import speech
from affectd_convert.datasets.clip_windows import clip_logits
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.training import renditions, voice_batches
from affectd_convert.training.plan import Stage
from affectd_convert.training.renditions import Renditions, render
from affectd_convert.training.run_config import is_run_of
from affectd_convert.training.sound_augment import SoundAugmentation, augment, babble, coloured_noise, telephone
from affectd_convert.training.voice import PLAN, VoiceRecipe, train_voice, voice_config


def write_clips(folder: Path) -> list[speech.Utterance]:
    rng = np.random.default_rng(2)
    clips = []
    for n, length in enumerate((9_000, 30_000, 70_000, 40_001)):
        path = folder / f"DC_a{n:02d}.wav"
        soundfile.write(path, (rng.standard_normal(length) * 3000).astype(np.int16), 16_000)
        clips.append(speech.Utterance("savee", path, f"savee-{n % 2}", VOICE_LABELS[n]))
    return clips


def test_renditions_are_made_once_and_begin_with_the_recording(tmp_path: Path) -> None:
    clips = write_clips(tmp_path)
    lines: list[str] = []
    how = {"features": MfccFeatures(), "how": SoundAugmentation(), "count": 3, "cache": tmp_path / "cache"}
    first = render(clips, **how, report=lines.append)
    assert lines
    assert [len(one.frames) for one in first] == [3] * 4
    recorded = MfccExtractor(MfccFeatures()).feed(speech.read_samples(clips[0].path, 16_000))
    assert np.array_equal(first[0].frames[0], recorded.astype(np.float16))
    assert not np.array_equal(first[0].frames[0][:10], first[0].frames[1][:10])
    lines.clear()
    again = render(clips, **how, report=lines.append)
    assert not lines
    assert np.array_equal(again[3].frames[2], first[3].frames[2])


def test_renditions_are_made_again_of_another_file_or_by_other_code_or_when_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = write_clips(tmp_path)
    lines: list[str] = []

    def made() -> bool:
        lines.clear()
        how = {"features": MfccFeatures(), "how": SoundAugmentation(), "count": 2, "cache": tmp_path / "cache"}
        rendered = render(clips, **how, report=lines.append)
        recorded = MfccExtractor(MfccFeatures()).feed(speech.read_samples(clips[0].path, 16_000))
        assert np.array_equal(rendered[0].frames[0], recorded.astype(np.float16))
        return bool(lines)

    assert made()
    assert not made()
    soundfile.write(clips[0].path, np.ones(9_000, np.int16), 16_000)
    assert made()
    (cached,) = (
        file for file in (tmp_path / "cache").glob("*/0000.npz") if file.stat().st_mtime_ns == newest(tmp_path)
    )
    cached.write_bytes(cached.read_bytes()[:-100])
    assert made()
    assert not made()
    monkeypatch.setattr(renditions, "read_samples", read_otherwise)
    assert made()
    assert not list((tmp_path / "cache").glob("*/.new-*"))


def test_a_worker_that_the_kernel_ends_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = write_clips(tmp_path)
    how = {"features": MfccFeatures(), "how": SoundAugmentation(), "count": 2, "cache": tmp_path / "cache"}
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match=r"ended from outside.*same command goes"):
        patch.setattr(renditions, "read_samples", read_where_memory_is_short)
        render(clips, **how)
    assert len(render(clips, **how)) == len(clips)


def read_where_memory_is_short(path: Path, sample_rate: int) -> np.ndarray:
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return speech.read_samples(path, sample_rate)


def read_otherwise(path: Path, sample_rate: int) -> np.ndarray:
    return speech.read_samples(path, sample_rate)[::1]


def newest(folder: Path) -> int:
    return max(file.stat().st_mtime_ns for file in (folder / "cache").glob("*/0000.npz"))


def test_a_clip_that_cannot_be_read_ends_the_renditions_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renditions, "PART", 1)
    clip = write_clips(tmp_path)[2]
    (tmp_path / "none.wav").write_bytes(b"RIFF")
    clips = [replace(clip, path=tmp_path / "none.wav"), *[clip] * 200]
    with pytest.raises(DataError, match=r"none\.wav: not a readable sound file"):
        render(clips, MfccFeatures(), SoundAugmentation(), count=4, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*/*.npz"))) < 190


def test_speech_windows_have_the_networks_shape_and_normalized_columns(tmp_path: Path) -> None:
    clips = write_clips(tmp_path)
    rendered = render(clips, MfccFeatures(), SoundAugmentation(), count=2, cache=tmp_path, report=lambda _: None)
    features = voice_batches.fit_normalization(MfccFeatures(), rendered)
    batches = voice_batches.VoiceBatches(
        training=rendered,
        features=features,
        augmentation=voice_batches.WindowAugmentation(of_speaker=1),
        batch_size=2,
        seed=1,
        epoch=0,
    )
    assert len(batches) == 1
    inputs, targets = batches[0]
    assert inputs.shape == (2, features.window_frames, features.columns)
    assert np.isfinite(inputs).all()
    assert np.allclose(targets.sum(axis=1), 1)
    whole = voice_batches.WholeClips.of(clips[2:], features)
    assert whole.counts.tolist() == [3, 1]
    assert abs(float(whole.inputs.mean())) < 0.2
    assert 0.7 < float(whole.inputs.std()) < 1.3


def spoken(emotions: list[str], frames: np.ndarray, **how: object) -> voice_batches.VoiceBatches:
    clips = [speech.Utterance("ravdess", Path(f"{n}.wav"), "ravdess-01", one) for n, one in enumerate(emotions)]
    columns = MfccFeatures().columns
    still = {"masks": 0, "pitch_octaves": 0.0, "timbre": 0.0, "level": 0.0, "mixup": 0.0, "smoothing": 0.0, **how}
    return voice_batches.VoiceBatches(
        training=[Renditions(clip, (frames,)) for clip in clips],
        features=MfccFeatures(mean=(0.0,) * columns, std=(1.0,) * columns),
        augmentation=voice_batches.WindowAugmentation(**still),
        batch_size=1,
        seed=1,
        epoch=0,
    )


def test_a_label_that_a_speaker_speaks_less_often_is_heard_as_often() -> None:
    batches = spoken(["angry"] * 4 + ["happy"] * 4 + ["neutral"] * 2, np.zeros((50, 43), np.float16))
    heard = [VOICE_LABELS[int(batches[index].targets[0].argmax())] for index in range(len(batches))]
    assert {label: heard.count(label) for label in set(heard)} == {"angry": 4, "happy": 4, "neutral": 4}


def test_another_tempo_invents_no_pitch_and_keeps_the_course_of_the_sound() -> None:
    mfcc, frames = MfccFeatures().mfcc, np.zeros((400, 43), np.float16)
    frames[:, 0] = np.arange(400) / 100
    frames[::2, mfcc] = 0.25
    batches = spoken(["angry"] * 40, frames, full_share=1.0)
    windows = [batches[index].inputs[0] for index in range(len(batches))]
    assert {value for window in windows for value in np.unique(window[:, mfcc])} == {0.0, 0.25}
    rises = [float(np.diff(window[:, 0]).mean()) for window in windows]
    assert min(rises) < 0.0095 < 0.0105 < max(rises)
    assert 0.0079 < min(rises) < max(rises) < 0.0126


def test_a_clips_answer_in_validation_is_the_one_the_evaluation_gives(tmp_path: Path) -> None:
    clips = write_clips(tmp_path)
    zeros, ones = (0.0,) * MfccFeatures().columns, (30.0,) * MfccFeatures().columns
    features = MfccFeatures(mean=zeros, std=ones)

    def run(windows: np.ndarray) -> np.ndarray:
        return windows[:, ::40, 0]

    together = voice_batches.WholeClips.of(clips, features).logits(run)
    for clip, answer in zip(clips, together, strict=True):
        assert np.allclose(clip_logits(speech.read_samples(clip.path, 16_000), features, run), answer, atol=1e-6)


def test_noises_have_unit_power_and_a_telephone_only_its_band() -> None:
    rng = np.random.default_rng(3)
    crowd = [(rng.standard_normal(8_000) * 2000).astype(np.int16)]
    for noise in (coloured_noise(16_000, rng), babble(16_000, crowd, rng)):
        assert abs(float(noise.std()) - 1) < 1e-3
    power = np.abs(np.fft.rfft(telephone(rng.standard_normal(16_000).astype(np.float32), 16_000))) ** 2
    assert power[300:3400].mean() > 1e4 * power[3500:].mean()
    assert power[300:3400].mean() > 1e4 * power[1:299].mean()


def test_augmented_speech_is_the_same_for_the_same_seed() -> None:
    samples = (np.random.default_rng(4).standard_normal(16_000) * 3000).astype(np.int16)
    how = {"how": SoundAugmentation(), "sample_rate": 16_000, "crowd": [samples]}
    first, again, other = (augment(samples, **how, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert len(first) != len(other) or not np.array_equal(first, other)


def test_figures_of_people_trained_on_are_not_called_validation(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for emotion in range(1, 9):
        samples = (rng.standard_normal(9_000) * 3000).astype(np.int16)
        soundfile.write(tmp_path / f"03-01-0{emotion}-01-02-01-02.wav", samples, 16_000)
    run, recipe = tmp_path / "run", VoiceRecipe(replace(PLAN, stages=(Stage(epochs=1),), batch_size=4))
    train_voice(tmp_path, run, recipe)
    said = (run / "log.txt").read_text()
    assert "; heard in training: loss" in said
    assert "validation" not in said
    assert is_run_of(run, voice_config(tmp_path, recipe))
    assert not is_run_of(run, voice_config(tmp_path, VoiceRecipe(replace(recipe.plan, seed=2))))
    (tmp_path / "03-01-08-01-02-01-02.wav").unlink()
    assert not is_run_of(run, voice_config(tmp_path, recipe))
