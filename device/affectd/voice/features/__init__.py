"""The ways from sound to a voice network's input, a file each; training and the daemon share them."""

from affectd.voice.features.kind import FeatureStream, VoiceFeatures
from affectd.voice.features.log_mel import LogMelFeatures
from affectd.voice.features.mfcc import MfccExtractor, MfccFeatures
from affectd.voice.features.mfcc_chroma import MfccChromaFeatures
from affectd.voice.features.waveform import WaveformFeatures
from affectd.voice.speech_frames import FloatArray

__all__ = [
    "FeatureStream",
    "FloatArray",
    "LogMelFeatures",
    "MfccChromaFeatures",
    "MfccExtractor",
    "MfccFeatures",
    "VoiceFeatures",
    "WaveformFeatures",
]
