"""The ways from sound to a voice network's input, a file each; training and the daemon share them."""

from affectd.voice.features.mfcc import FloatArray, FrameExtractor, Frames, VoiceFeatures, filterbank, liftered_cosines

__all__ = ["FloatArray", "FrameExtractor", "Frames", "VoiceFeatures", "filterbank", "liftered_cosines"]
