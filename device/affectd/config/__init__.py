"""Every setting of the daemon, declared once with its doc, default and limits, as frozen dataclasses.

`file.py` reads TOML, environment and credentials into `Config`.
"""

from __future__ import annotations

from dataclasses import dataclass

from affectd.config.capture import CameraConfig, ClipConfig, MicrophoneConfig
from affectd.config.perception import FaceConfig, FusionConfig, InferenceConfig, VoiceConfig
from affectd.config.publishing import DeviceConfig, MqttConfig, OutboxConfig, PrivacyConfig

__all__ = [
    "CameraConfig",
    "ClipConfig",
    "Config",
    "DeviceConfig",
    "FaceConfig",
    "FusionConfig",
    "InferenceConfig",
    "MicrophoneConfig",
    "MqttConfig",
    "OutboxConfig",
    "PrivacyConfig",
    "VoiceConfig",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings; each table of the TOML file is one field."""

    device: DeviceConfig = DeviceConfig()
    camera: CameraConfig = CameraConfig()
    microphone: MicrophoneConfig = MicrophoneConfig()
    clip: ClipConfig = ClipConfig()
    inference: InferenceConfig = InferenceConfig()
    face: FaceConfig = FaceConfig()
    voice: VoiceConfig = VoiceConfig()
    fusion: FusionConfig = FusionConfig()
    mqtt: MqttConfig = MqttConfig()
    outbox: OutboxConfig = OutboxConfig()
    privacy: PrivacyConfig = PrivacyConfig()
