"""Speech corpora in their public layouts: whose clip it is, what it is, and what no clip is."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.events import VOICE_LABELS
from affectd_convert.commands.main import main
from affectd_convert.datasets import speech
from affectd_convert.errors import DataError
from affectd_convert.training.voice import VoiceRecipe, train_voice
from support.corpora import SOUND, pointer, sound

SPEECH = {
    "ravdess/Actor_07/03-01-05-01-02-01-07.wav": ("ravdess-07", "angry"),
    "ravdess/Actor_24/03-01-02-01-02-01-24.wav": ("ravdess-24", "calm"),
    "AudioData/DC/su12.wav": ("savee-DC", "surprise"),
    "AudioData/JE/a01.wav": ("savee-JE", "angry"),
    "ALL/JK_sa01.wav": ("savee-JK", "sad"),
    "savee_flat/KL_n30.wav": ("savee-KL", "neutral"),
    "tess/OAF_Fear/OAF_back_fear.wav": ("tess-OAF", "fear"),
    "tess/OAF_neutral/OA_bite_neutral.wav": ("tess-OAF", "neutral"),
    "tess/OAF_Pleasant_surprise/OAF_Dog_Pleasant_surprise.WAV": ("tess-OAF", "surprise"),
    "tess/YAF_pleasant_surprised/YAF_dog_ps.wav": ("tess-YAF", "surprise"),
    "tess/YAF_pleasant_surprised/YAF_dog_pleasant_surprised.wav": ("tess-YAF", "surprise"),
    "tess/YAF_disgust/yaf_dog_disgust.wav": ("tess-YAF", "disgust"),
    "AudioWAV/1001_DFA_DIS_XX.wav": ("cremad-1001", "disgust"),
    "AudioWAV/1002_IEO_HAP_HI.WAV": ("cremad-1002", "happy"),
    # The corpus's own misname.
    "AudioWAV/1040_ITH_SAD_X.wav": ("cremad-1040", "sad"),
}


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
    sound(tmp_path / "AudioWAV/1001_DFA_ANG_XX.wav", SOUND[:0])
    (tmp_path / "AudioWAV/1001_DFA_SAD_XX.wav").write_bytes(b"RIFF")
    (tmp_path / "README.txt").write_text("not a sound")
    found = speech.survey_speech(tmp_path)
    assert [str(one.path.relative_to(tmp_path)) for one in found.clips] == [clip]
    assert [speech.fold_of(one) for one in found.clips] == [1]
    named = "not named as RAVDESS, SAVEE, TESS or CREMA-D name theirs; RAVDESS has actors 01 to 24"
    assert found.skipped == (
        "AudioWAV/1001_DFA_ANG_XX.wav: holds no sound",
        "AudioWAV/1001_DFA_SAD_XX.wav: not a readable sound file",
        f"Actor_25/03-01-05-01-02-01-00.wav: {named}",
        f"Actor_25/03-01-05-01-02-01-25.wav: {named}",
        "AudioWAV/1001_DFA_XXX_XX.wav: not named as RAVDESS, SAVEE, TESS or CREMA-D name theirs",
        "notes/hello.wav: not named as RAVDESS, SAVEE, TESS or CREMA-D name theirs",
        "2 RAVDESS files that are songs or belong to a video: only its audio-only speech is used",
        "1 second copies of a clip, in another folder or format",
    )


def test_a_label_without_any_clip_cannot_be_trained_on(tmp_path: Path) -> None:
    for name, (_, label) in SPEECH.items():
        if label not in {"happy", "sad"}:
            sound(tmp_path / name)
    with pytest.raises(DataError, match="no clip labelled happy, sad; add a corpus that has some"):
        train_voice(tmp_path, tmp_path / "run", VoiceRecipe(fold=1))
    (tmp_path / "ravdess" / "Actor_24" / "03-01-02-01-02-01-24.wav").unlink()
    with pytest.raises(DataError, match="no clip labelled happy, sad, calm; only RAVDESS has calm; add"):
        train_voice(tmp_path, tmp_path / "run", VoiceRecipe(fold=1))
    assert not (tmp_path / "run").exists()


def test_what_only_those_say_who_are_held_out_cannot_be_trained_on(tmp_path: Path) -> None:
    for name in SPEECH:
        sound(tmp_path / name)
    said = "held out fold 3 has all there is: no clip to train on labelled calm; only RAVDESS has calm; add speakers"
    with pytest.raises(DataError, match=said):
        train_voice(tmp_path, tmp_path / "run", VoiceRecipe(fold=3))
    assert not (tmp_path / "run").exists()


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


def survey(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    found = speech.survey_speech(folder)
    return [str(clip.path.relative_to(folder)) for clip in found.clips], found.skipped


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(32_000), "silent: of 2.0 s, 0 ms are louder than -60 dB of full scale"),
        (np.tile([0, 1 / 32768], 16_000), "silent: of 2.0 s, 0 ms are louder"),
        (np.full(32_000, 0.3), "silent: of 2.0 s, 0 ms are louder"),
        (np.r_[np.zeros(9000), 0.9, np.zeros(9000)], "silent: of 1.1 s, 10 ms are louder"),
        (0.0009 * np.sin(np.arange(32_000)), "silent: of 2.0 s, 0 ms are louder"),
        (SOUND[:800], "holds 50 ms of sound; too little for a word"),
        (SOUND[:0], "holds no sound"),
    ],
)
def test_a_clip_in_which_nobody_speaks_is_left_out(tmp_path: Path, samples: np.ndarray, said: str) -> None:
    sound(tmp_path / "AudioWAV/1001_DFA_SAD_XX.wav", 0.0045 * np.sin(np.arange(32_000)))
    sound(tmp_path / "AudioWAV/1002_DFA_SAD_XX.wav", np.clip(5 * np.sin(np.arange(32_000)), -1, 1))
    sound(tmp_path / "AudioWAV/1076_MTI_SAD_XX.wav", samples)
    clips, skipped = survey(tmp_path)
    # Quiet ones, as some of RAVDESS, and those that reach full scale, as a quarter of SAVEE, are speech.
    assert clips == ["AudioWAV/1001_DFA_SAD_XX.wav", "AudioWAV/1002_DFA_SAD_XX.wav"]
    assert len(skipped) == 1
    assert skipped[0].startswith(f"AudioWAV/1076_MTI_SAD_XX.wav: {said}")


@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac", ".ogg", ".mp3"])
def test_a_clip_that_is_cut_short_is_left_out(tmp_path: Path, suffix: str) -> None:
    whole, cut = tmp_path / f"1001_DFA_SAD_XX{suffix}", tmp_path / f"1002_DFA_SAD_XX{suffix}"
    for path in (whole, cut):
        sound(path, np.tile(SOUND, 30))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 4 // 10])
    clips, skipped = survey(tmp_path)
    assert clips == [whole.name]
    assert len(skipped) == 1
    assert skipped[0].startswith(f"{cut.name}: ")
    with pytest.raises(DataError, match=cut.name):
        speech.read_samples(cut, 16_000)


def test_how_much_is_missing_of_a_wav_is_said_but_not_of_one_written_to_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "1001_DFA_SAD_XX.wav"
    sound(path, np.tile(SOUND, 10))
    content = path.read_bytes()
    path.write_bytes(content[:16_044])
    with pytest.raises(DataError, match="cut short: 50% of its sound is missing"):
        speech.read_samples(path, 16_000)
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :])
    assert survey(tmp_path) == ([path.name], ())


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    good, bad = tmp_path / "1001_DFA_SAD_XX.wav", tmp_path / "1002_DFA_SAD_XX.wav"
    sound(good, subtype="FLOAT")
    sound(bad, np.r_[SOUND, np.nan], subtype="FLOAT")
    assert survey(tmp_path) == ([good.name], (f"{bad.name}: some of its samples are no numbers (NaN or infinite)",))
    with pytest.raises(DataError, match="are no numbers"):
        speech.read_samples(bad, 16_000)


def test_pointers_of_git_lfs_are_counted_for_every_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in SPEECH:
        pointer(tmp_path / "all" / name)
    assert main(["datasets", str(tmp_path)]) == DataError.exit_code
    said = capsys.readouterr().err
    assert f"no clip that can be used; {len(SPEECH)} files, all/" in said
    assert said.endswith("first: git-lfs pointer: run git lfs pull\n")
    sound(tmp_path / "wav" / "1001_DFA_DIS_XX.wav")
    clips, skipped = survey(tmp_path)
    assert clips == ["wav/1001_DFA_DIS_XX.wav"]
    assert len(skipped) == 1
    with pytest.raises(DataError, match=r"1040_ITH_SAD_X\.wav: git-lfs pointer: run git lfs pull"):
        speech.read_samples(tmp_path / "all" / "AudioWAV" / "1040_ITH_SAD_X.wav", 16_000)


def test_a_clip_in_several_folders_and_formats_is_taken_once_and_the_best_that_can_be_used(tmp_path: Path) -> None:
    for name in (
        "AudioMP3/1001_DFA_ANG_XX.mp3",
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "AudioMP3/1002_DFA_ANG_XX.mp3",
        "TESS/OAF_Fear/OAF_back_fear.wav",
        "TESS/TESS/OAF_Fear/OAF_back_FEAR.wav",
        "audio_speech_actors_01-24/Actor_01/03-01-05-01-02-01-01.wav",
        "Actor_01/03-01-05-01-02-01-01.wav",
        "ALL/DC_a01.wav",
        "AudioData/DC/a01.wav",
    ):
        sound(tmp_path / name)
    sound(tmp_path / "AudioWAV/1002_DFA_ANG_XX.wav", np.zeros(32_000))
    sound(tmp_path / "__MACOSX/AudioWAV/._1003_DFA_ANG_XX.wav")
    (tmp_path / "VideoFlash").mkdir()
    (tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv").write_bytes(b"FLV")
    clips, skipped = survey(tmp_path)
    assert clips == [
        "ALL/DC_a01.wav",
        "Actor_01/03-01-05-01-02-01-01.wav",
        "AudioMP3/1002_DFA_ANG_XX.mp3",
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "TESS/OAF_Fear/OAF_back_fear.wav",
    ]
    assert skipped == (
        "AudioWAV/1002_DFA_ANG_XX.wav: silent: of 2.0 s, 0 ms are louder than -60 dB of full scale",
        "1 videos: of clips only the sound files are read",
        "4 second copies of a clip, in another folder or format",
    )


def test_an_archive_is_not_called_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "AudioWAV.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"AudioWAV\.zip: packed; unpack it, and name the folder; expected one that"):
        speech.read_speech(tmp_path / "AudioWAV.zip")


def test_an_archive_in_an_empty_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "AudioWAV.zip").write_bytes(b"PK\x03\x04")
    assert main(["datasets", str(tmp_path)]) == DataError.exit_code
    assert capsys.readouterr().err.endswith("name theirs; AudioWAV.zip is still packed\n")
    assert main(["datasets", str(tmp_path / "AudioWAV.zip")]) == DataError.exit_code
    assert "AudioWAV.zip: packed; unpack it, and name the folder or file that comes out" in capsys.readouterr().err


def test_a_clip_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "1001_DFA_SAD_XX.wav"
    sound(path, np.zeros(32_000))
    with pytest.raises(DataError, match="silent"):
        speech.read_speech(tmp_path)
    sound(path)
    assert len(speech.read_speech(tmp_path)) == 1
