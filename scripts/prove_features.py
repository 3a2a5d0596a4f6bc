"""Compare log-mel and mfcc-chroma with librosa on a made voice, and measure what each kind costs a half-second hop.

python scripts/prove_features.py OUT.json, where librosa is installed; scripts/prove-features installs it. OUT.json gets
librosa's numbers. Ends with 1 when a number of affectd's is off by more than the bar.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import librosa
import numpy as np

from affectd.voice.features import LogMelFeatures, MfccChromaFeatures, MfccFeatures, WaveformFeatures
from affectd.voice.speech_frames import SpeechFrameExtractor
from support.voice_like import RATE, voice_like

SECONDS = 4.0
HOP = RATE // 2
BAR = 1e-3
PARTS = {"mfcc": 40, "chroma": 12, "mel": 128, "contrast": 7, "tonnetz": 6}
VECTOR = MfccChromaFeatures(parts=tuple(PARTS))
PICTURE = LogMelFeatures(window_frames=16, filters=32)
LOUDEST = LogMelFeatures(
    frame_s=1024 / RATE,
    hop_s=512 / RATE,
    fft_size=1024,
    filters=32,
    mel_scale="htk",
    even_area=False,
    reference="loudest",
    range_db=80.0,
    window_frames=20,
    filters_first=True,
)


def main():
    samples = voice_like(SECONDS)
    sound = samples.astype(np.float32) / 32768
    theirs = {
        "log-mel": log_mel(sound),
        "log-mel, loudest": log_mel_loudest(sound),
        "mfcc-chroma": vector(newest(sound)),
    }
    Path(sys.argv[1]).write_text(json.dumps({name: rounded(values) for name, values in theirs.items()}) + "\n")
    print(f"librosa {librosa.__version__}, numpy {np.__version__}, {SECONDS:g} s of a made voice at {RATE} Hz\n")
    largest = max(difference(*each) for each in comparisons(samples, theirs))
    print(
        f"\nbar: no number is off by more than {BAR:g} of its part's range: {'reached' if largest <= BAR else 'MISSED'}"
    )
    print("\nbeside librosa's defaults:")
    centred = librosa.power_to_db(librosa.feature.melspectrogram(y=sound[-RATE:], sr=RATE, n_mels=32), top_db=None)
    inside = LogMelFeatures(frame_s=2048 / RATE, hop_s=512 / RATE, fft_size=2048, filters=32, window_frames=28)
    difference("log-mel, the frames of center=True that lie inside", window(inside, samples[-RATE:]), centred.T[2:-2])
    own = window(VECTOR, samples)[-6:]
    harmonic = librosa.effects.harmonic(newest(sound))
    difference(
        "tonnetz, of the harmonic part's constant-Q chroma", own, librosa.feature.tonnetz(y=harmonic, sr=RATE).mean(1)
    )
    costs()
    return int(largest > BAR)


def newest(sound):
    """The newest 3 s, from a multiple of the hop on, as the features take them."""
    size, hop = round(VECTOR.window_s * RATE), VECTOR.hop_length
    return sound[-((size - len(sound)) // hop) * hop :]


def log_mel(sound):
    """Frames of 400 samples in the middle of transforms of 512, so that the first begins with the sound."""
    beside = np.zeros((PICTURE.fft_size - PICTURE.frame_length) // 2, np.float32)
    mel = librosa.feature.melspectrogram(
        y=np.concatenate([beside, sound, beside]),
        sr=RATE,
        n_fft=PICTURE.fft_size,
        win_length=PICTURE.frame_length,
        hop_length=PICTURE.hop_length,
        n_mels=PICTURE.filters,
        center=False,
    )
    return librosa.power_to_db(mel, top_db=None).T[-PICTURE.window_frames :]


def log_mel_loudest(sound):
    mel = librosa.feature.melspectrogram(
        y=sound, sr=RATE, n_fft=1024, hop_length=512, n_mels=32, center=False, htk=True, norm=None
    )
    return librosa.power_to_db(mel[:, -LOUDEST.window_frames :], ref=np.max)


def vector(sound):
    """The 193 numbers of RAVDESS notebooks, tonnetz of the same chroma."""
    stft = np.abs(librosa.stft(sound))
    chroma = librosa.feature.chroma_stft(S=stft, sr=RATE)
    parts = [
        librosa.feature.mfcc(y=sound, sr=RATE, n_mfcc=40),
        chroma,
        librosa.feature.melspectrogram(y=sound, sr=RATE),
        librosa.feature.spectral_contrast(S=stft, sr=RATE),
        librosa.feature.tonnetz(chroma=chroma),
    ]
    return np.concatenate([part.mean(axis=1) for part in parts])


def comparisons(samples, theirs):
    """What is compared, affectd's numbers, librosa's."""
    yield "log-mel", window(PICTURE, samples), theirs["log-mel"]
    yield "log-mel, to the loudest", window(LOUDEST, samples), theirs["log-mel, loudest"]
    own, at = window(VECTOR, samples), 0
    for part, size in PARTS.items():
        yield part, own[at : at + size], theirs["mfcc-chroma"][at : at + size]
        at += size


def window(features, samples):
    """The input after chunks of 100 ms, one window asked for every half second, as the daemon does."""
    stream, extractor = features.stream(), SpeechFrameExtractor()
    for start in range(0, len(samples), RATE // 10):
        part = samples[start : start + RATE // 10]
        stream.push(part, extractor.extract(part))
        if start % HOP == 0:
            stream.window()
    return stream.window()


def difference(name, own, theirs):
    off, span = float(np.abs(own - theirs).max()), float(np.ptp(theirs))
    print(f"{name:<52}{own.shape!s:>10}  largest difference {off:.2g} of a range of {span:.3g}")
    return off / span


def costs():
    print("\nms a hop of 0.5 s, one thread, besides the frames of voice activity: silence, then while somebody speaks")
    kinds = {
        "mfcc, 300 x 83": MfccFeatures(mean=(0.0,) * 83, std=(1.0,) * 83),
        "log-mel, 300 x 64": LogMelFeatures(),
        "log-mel, 94 x 128, frames of 2048": LogMelFeatures(
            frame_s=2048 / RATE, hop_s=512 / RATE, fft_size=2048, filters=128, window_frames=94
        ),
        "mfcc-chroma, 193": VECTOR,
        "mfcc-chroma, 65": MfccChromaFeatures(),
        "mfcc-chroma, 193 at 22050 Hz": MfccChromaFeatures(parts=tuple(PARTS), sample_rate=22_050),
        "waveform, 48000": WaveformFeatures(standardize=True),
    }
    samples = voice_like(40)
    print(f"{'voice activity itself':<36}{median_ms(None, samples):>8.2f}")
    for name, features in kinds.items():
        print(f"{name:<36}{median_ms(features, samples, spoken=False):>8.2f}{median_ms(features, samples):>8.2f}")
    sound = samples[:48_000].astype(np.float32) / 32768
    spent = []
    for _ in range(6):
        began = time.thread_time()
        librosa.feature.tonnetz(y=librosa.effects.harmonic(sound), sr=RATE)
        spent.append(time.thread_time() - began)
    print(f"librosa's own tonnetz(y=harmonic(y)) of a window of 3 s takes {1e3 * min(spent):.0f} ms")


def median_ms(features, samples, *, spoken=True):
    stream, extractor, spent = features and features.stream(), SpeechFrameExtractor(), []
    for start in range(0, len(samples), HOP):
        part = samples[start : start + HOP]
        began = time.thread_time()
        frames = extractor.extract(part)
        if stream:
            began = time.thread_time()
            stream.push(part, frames)
            if spoken:
                stream.window()
        spent.append(time.thread_time() - began)
    return 1e3 * statistics.median(spent[8:])


def rounded(values):
    return np.round(values.astype(np.float64), 5).tolist()


if __name__ == "__main__":
    sys.exit(main())
