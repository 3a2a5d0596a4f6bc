"""The ways from sound to a voice network's input, a file each; training and the daemon share them."""

from affectd.voice.features.kind import FeatureStream
from affectd.voice.features.mfcc import FrameExtractor, VoiceFeatures, filterbank, liftered_cosines
from affectd.voice.speech_frames import FloatArray

__all__ = ["FeatureStream", "FloatArray", "FrameExtractor", "VoiceFeatures", "filterbank", "liftered_cosines"]
