"""Measure how often somebody is taken to speak: where nobody does, and where somebody does, in noise.

scripts/prove-senses voice_activity [--speech FOLDER]. Music is played by fluidsynth from free pieces (OpenMSX, GPL) on
a free sound font (TimGM6mb); the other sounds are made by program. Speech: 10 clips of each corpus (a folder) in
FOLDER, and sentences of espeak-ng.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from affectd.events import AudioChunk
from affectd.voice.activity import VoiceActivity
from affectd.voice.features import MfccFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.reader import VoiceReader
from affectd.voice.silero_activity import CHUNK, SPEECH, SileroActivity
from affectd.voice.speech_frames import SpeechFrameExtractor
from support.sounds import CHANGING, RATE, STEADY, as_int16, sound
from support.speech import speech

PIECES = Path("/usr/share/games/openttd/baseset/openmsx")
SOUND_FONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
SPEC = MfccFeatures()
HOP = RATE // 2
SOUND_S = 30.0
PIECE_S = 20.0
SPEECH_DB = -26.0
"""Level of every clip where somebody speaks, dB of full scale."""
SNRS_DB = (20, 10, 5, 0)
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.7)
SENTENCES = (
    "Good morning! I am really very happy to see you here, my friend.",
    "No. I said that I do not want this, and I shall not say it again.",
    "Where have you been all night? We were looking for you everywhere.",
    "The train to the coast leaves at seven, from the platform on the left.",
)

Samples = NDArray[np.float64]


class NoModel:
    def probabilities(self, _x: NDArray[np.float32]) -> tuple[float, ...]:
        return (1 / 8,) * 8


def active(samples: Samples, detector: VoiceActivity) -> NDArray[np.bool_]:
    """Return for each hop, from the second on, whether the daemon's voice path calls it active."""
    reader = VoiceReader(NoModel(), SPEC, detector)
    readings = reader.feed(AudioChunk(as_int16(samples), RATE, len(samples) / RATE))
    return np.array([reading.active for reading in readings])


def pieces(folder: Path) -> dict[str, Samples]:
    """Return the middle of each piece of music, peak 0.5."""
    played = {}
    for path in sorted(PIECES.glob("*.mid")):
        wav = folder / "piece.wav"
        command = ["fluidsynth", "-ni", "-q", "-g", "0.5", "-r", str(RATE), "-F", str(wav), str(SOUND_FONT), str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        whole, _ = soundfile.read(wav)
        start = max(0, len(whole) // 2 - round(PIECE_S * RATE / 2))
        samples = whole[start : start + round(PIECE_S * RATE)].mean(axis=1)
        played[path.stem] = samples * 0.5 / np.abs(samples).max()
    return played


def speakers(corpora: Path | None, folder: Path) -> dict[str, list[Samples]]:
    """Return clips of speech by corpus."""
    clips = {"espeak-ng": [speech(folder, sentence) / 32768 for sentence in SENTENCES]}
    rng = np.random.default_rng(0)
    for corpus in sorted(path for path in corpora.iterdir() if path.is_dir()) if corpora else []:
        files = sorted(path for path in corpus.rglob("*") if path.suffix in {".opus", ".ogg", ".wav", ".flac"})
        drawn = rng.choice(np.array(files, dtype=object), min(10, len(files)), replace=False)
        clips[corpus.name] = [at_our_rate(*soundfile.read(path)) for path in drawn]
    return clips


def at_our_rate(samples: Samples, rate: int) -> Samples:
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    return np.asarray(resample_poly(mono, RATE, rate))


def conversation(clips: list[Samples]) -> tuple[Samples, NDArray[np.bool_]]:
    """Return six seconds of nothing, then the clips with pauses of 1.5 s; and which hops are in speech.

    In speech is a hop of which half is no more than 30 dB below the clip's loudest.
    """
    parts, spoken = [np.zeros(6 * RATE)], [np.zeros(6 * RATE, np.bool_)]
    for clip in clips:
        frames = clip[: len(clip) // 160 * 160].reshape(-1, 160)
        level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
        mask = np.repeat(level > level.max() - 30, 160)
        clean = frames.ravel()
        pause = np.zeros(3 * HOP)
        parts += [clean * 10 ** (SPEECH_DB / 20) / np.sqrt(np.mean(clean[mask] ** 2)), pause]
        spoken += [mask, pause > 0]
    samples, mask = np.concatenate(parts), np.concatenate(spoken)
    hops = mask[: len(mask) // HOP * HOP].reshape(-1, HOP)
    return samples, hops.mean(axis=1)[1:] >= 0.5


def mixed(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Return the speech in noise that is this much below it."""
    noise = np.resize(noise, len(samples))
    return samples + noise / noise.std() * 10 ** ((SPEECH_DB - snr_db) / 20)


def detectors() -> tuple[LevelActivity, SileroActivity]:
    return LevelActivity(), SileroActivity()


def nobody(quiet: dict[str, Samples]) -> bool:
    print("Nobody speaks: hops of 0.5 s that are called active\n")
    print(f"{'sound':<28}{'hops':>6}{'level':>9}{'Silero':>9}")
    counts = np.zeros((2, 3), np.int64)
    for name, samples in quiet.items():
        level, silero = (active(samples, detector) for detector in detectors())
        counts[int(name in CHANGING)] += len(level), level.sum(), silero.sum()
        print(f"{name:<28}{len(level):>6}{level.mean():>9.1%}{silero.mean():>9.1%}")
    for name, (hops, level, silero) in zip(("all music", "all other sounds"), counts, strict=True):
        print(f"{name:<28}{hops:>6}{level / hops:>9.2%}{silero / hops:>9.2%}")
    return verdict("music, and other sounds, at most 1 % each", bool(np.all(counts[:, 2] <= 0.01 * counts[:, 0])))


def steady() -> bool:
    """Show silence and noise that stays, and noise that begins in a quiet room."""
    print("\nSilence and steady noise: hops called active, and the share of the sound that passes the gate to Silero\n")
    rng = np.random.default_rng(0)
    room = rng.normal(0, 20 / 32768, round(SOUND_S * RATE))
    sounds = {"digital silence": 0 * room, "quiet room": room}
    sounds |= {kind: 0.2 * sound(kind, SOUND_S) for kind in STEADY}
    begins = {f"{kind}, begins in a quiet room": np.concatenate([room[: 10 * RATE], sounds[kind]]) for kind in STEADY}
    print(f"{'sound':<42}{'hops':>6}{'level':>7}{'Silero':>8}{'passed':>9}")
    total = 0
    for name, samples in (sounds | begins).items():
        level, silero = detectors()
        called = active(samples, level).sum(), active(samples, silero).sum()
        total += int(called[1]) if name in sounds else 0
        share = silero.passed / (len(samples) / CHUNK)
        print(f"{name:<42}{len(samples) // HOP - 1:>6}{called[0]:>7}{called[1]:>8}{share:>9.1%}")
    return verdict("none in what is steady, with Silero", total == 0)


def spoken_in_noise(clips: dict[str, list[Samples]], noises: dict[str, Samples]) -> bool:
    print("\nSomebody speaks, in noise: hops in speech that are called active, level / Silero\n")
    print(f"{'speech':<12}{'noise':<14}{'hops':>6}" + "".join(f"{snr:>12} dB" for snr in SNRS_DB))
    at_ten: dict[str, list[float]] = {}
    for corpus, some in clips.items():
        samples, truth = conversation(some)
        for kind, noise in noises.items():
            cells = ""
            for snr in SNRS_DB:
                level, silero = (active(mixed(samples, noise, snr), each)[truth].mean() for each in detectors())
                cells += f"{level:>7.0%} /{silero:>5.0%}"
                if snr == 10:
                    at_ten.setdefault(kind, []).append(float(silero))
            print(f"{corpus:<12}{kind:<14}{int(truth.sum()):>6}{cells}")
    means = {kind: float(np.mean(shares)) for kind, shares in at_ten.items()}
    print("at 10 dB, mean of the corpora: " + ", ".join(f"{kind} {share:.1%}" for kind, share in means.items()))
    return verdict("at 10 dB at least 90 % of each noise", min(means.values()) >= 0.9)


def curve(quiet: dict[str, Samples], clips: dict[str, list[Samples]], noises: dict[str, Samples]) -> None:
    print("\nWhere Silero's threshold lies: hops called active, without speech and in speech\n")
    print(f"{'threshold':<11}{'nobody':>9}{'10 dB white':>13}{'0 dB white':>12}{'10 dB music':>13}{'0 dB music':>12}")
    samples, truth = conversation([clip for some in clips.values() for clip in some[:4]])
    heard = [(mixed(samples, noises[kind], snr), truth) for kind in ("white noise", "music") for snr in (10, 0)]
    for threshold in THRESHOLDS:
        false = np.concatenate([active(each, SileroActivity(threshold)) for each in quiet.values()])
        found = [active(each, SileroActivity(threshold))[truth].mean() for each, truth in heard]
        cells = "".join(f"{share:>{width}.1%}" for share, width in zip(found, (13, 12, 13, 12), strict=True))
        print(f"{threshold:<11}{false.mean():>9.2%}{cells}{'  chosen' if threshold == SPEECH else ''}")


def cost(clips: dict[str, list[Samples]]) -> bool:
    print("\nWhat the detector costs: share of a core, chunk by chunk of 32 ms as a microphone gives them\n")
    print(f"{'sound':<20}{'level':>9}{'Silero':>9}{'more':>9}")
    room = np.random.default_rng(0).normal(0, 20 / 32768, round(SOUND_S * RATE))
    talk = np.concatenate([clip / clip.std() * 0.05 for some in clips.values() for clip in some])[: len(room)]
    more = {}
    for name, samples in {"digital silence": 0 * room, "quiet room": room, "all speech": talk}.items():
        level, silero = (min(share_of_core(samples, detector) for _ in range(5)) for detector in detectors())
        more[name] = silero - level
        print(f"{name:<20}{level:>9.3%}{silero:>9.3%}{more[name]:>9.3%}")
    return verdict("in silence less than 0.2 % more", max(more["digital silence"], more["quiet room"]) < 0.002)


def share_of_core(samples: Samples, detector: VoiceActivity) -> float:
    extractor, whole, spent = SpeechFrameExtractor(), as_int16(samples), 0.0
    detector.reset()
    for start in range(0, len(whole), CHUNK):
        part = whole[start : start + CHUNK]
        frames = extractor.extract(part)
        began = time.thread_time()
        detector.feed(part, frames)
        spent += time.thread_time() - began
    return spent / (len(whole) / RATE)


def verdict(bar: str, reached: bool) -> bool:
    print(f"bar: {bar}: {'reached' if reached else 'MISSED'}", flush=True)
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, help="recordings of speech, in folders by corpus")
    args, _ = parser.parse_known_args()  # the other parts' options come too
    if args.speech is None or not args.speech.is_dir():
        print(f"no recordings of people ({args.speech or 'no --speech FOLDER'}): espeak-ng alone speaks\n")
        args.speech = None
    with tempfile.TemporaryDirectory() as folder:
        music = pieces(Path(folder))
        clips = speakers(args.speech, Path(folder))
    quiet = music | {kind: sound(kind, SOUND_S) for kind in CHANGING}
    medley = np.concatenate([piece[: 8 * RATE] / piece.std() for piece in music.values()])
    noises = {kind: sound(kind, SOUND_S) for kind in ("white noise", "fan")} | {"music": medley}
    reached = [nobody(quiet), steady(), spoken_in_noise(clips, noises), cost(clips)]
    curve(quiet, clips, noises)
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
