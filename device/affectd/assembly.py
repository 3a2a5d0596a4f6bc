"""Builds the daemon's parts from the configuration; each can be had on its own, for `check` and `bench`."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Literal, cast

from affectd.capture import sources
from affectd.capture.camera_options import CameraOptions
from affectd.capture.clip import Clip
from affectd.capture.protocols import Camera, Microphone
from affectd.config import Config, MqttConfig
from affectd.config.paths import default_outbox
from affectd.device_id import Identity, identify, settle
from affectd.errors import BrokerError, ConfigError, ModelError
from affectd.events import LABELS, Strategy
from affectd.face.blazeface_file import open_blazeface
from affectd.face.detector import FaceDetector
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing
from affectd.face.reader import FaceReader
from affectd.face.still import ALL_FACES, SMALLEST, StillReader
from affectd.fusion.fuser import EVEN_SKILL, Fuser
from affectd.fusion.opinions import Skill
from affectd.inference.accelerators import in_use, verdict_cache
from affectd.inference.accelerators.choice import Wanted
from affectd.inference.accelerators.in_use import InUse
from affectd.inference.accelerators.trials import Trials
from affectd.inference.accelerators.verdict_cache import VerdictCache
from affectd.inference.bundle import MANIFEST, Bundle
from affectd.inference.installed import installed_models
from affectd.inference.model import Model, open_model
from affectd.inference.variant_choice import choose_variant
from affectd.publish.documents import Origin
from affectd.publish.password import read_password
from affectd.service.installed import installed_privacy
from affectd.service.privacy_sources import PrivacySources
from affectd.store.outbox import LOCK_WAIT_S, Outbox
from affectd.version import version
from affectd.voice import silero_activity
from affectd.voice.activity import VoiceActivity
from affectd.voice.features import VoiceFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.reader import VoiceReader
from affectd.voice.silero_activity import SileroActivity

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def identity(config: Config) -> Identity:
    """Return who this box is and where its id comes from; nothing is written."""
    return identify(config.device.id, outbox_path(config).parent)


def settled_identity(config: Config) -> Identity:
    """Return who this box is, and keep a derived id beside the outbox."""
    return settle(config.device.id, outbox_path(config).parent)


def identified(config: Config, who: Identity) -> Config:
    """Return the settings with the box's id in them, and, when there is a password, the user name that goes with it."""
    mqtt = config.mqtt
    if not mqtt.username and _has_password(mqtt):
        mqtt = dataclasses.replace(mqtt, username=who.id)
    return dataclasses.replace(config, device=dataclasses.replace(config.device, id=who.id), mqtt=mqtt)


def device_id(config: Config) -> str:
    """Return the box's id in topics and client id."""
    return config.device.id or identity(config).id


def device_name(config: Config) -> str:
    """Return the name that people see."""
    return config.device.name or f"affectd {device_id(config)}"


def open_clip(config: Config, *, realtime: bool, loop: bool) -> Clip | None:
    """Open the clip that stands in for the camera; None when none does. Raises CaptureError, ConfigError."""
    settings = config.camera
    return sources.make_clip(
        settings.source, realtime=realtime, loop=loop, fps=settings.fps, pixel_aspect=settings.pixel_ratio
    )


def make_camera(config: Config, clip: Clip | None, *, colour: bool = False) -> Camera | None:
    """Build the camera, which is `clip`'s if there is one; None for none. Nothing is looked for or opened yet.

    Its pictures are grey unless `colour` is wanted, or costs nothing.
    """
    settings = config.camera
    options = CameraOptions(
        width=settings.width,
        height=settings.height,
        fps=settings.fps,
        timeout_s=settings.timeout_s,
        still_s=settings.still_s,
        pixel_aspect=settings.pixel_ratio,
        rotate=settings.rotate,
        mirror=settings.mirror,
        power_line_hz=settings.power_line_hz,
        pixel_format=settings.pixel_format,
        crop=settings.crop_area,
        colour=colour,
        crash_marker=_crash_marker(config),
    )
    return sources.make_camera(settings.source, options, clip)


def make_microphone(config: Config, clip: Clip | None) -> Microphone | None:
    """Build the microphone, which is `clip`'s if that is meant; None for none. Nothing is looked for or opened yet."""
    settings = config.microphone
    return sources.make_microphone(
        settings.source,
        clip=clip,
        timeout_s=settings.timeout_s,
        channel=settings.channel,
        gain_db=settings.gain_db,
        high_pass_hz=settings.high_pass_hz,
    )


def open_configured_model(config: Config, task: str, trials: Trials | None = None) -> Model | None:
    """Open and prove the configured model of 'face' or 'voice'; None when it is off. Raises ModelError."""
    bundle = configured_bundle(config, task)
    if bundle is None:
        return None
    kind, reason = configured_variant(config, bundle)
    if reason:
        log.warning("%s runs in %s: %s", bundle.name, kind, reason)
    trials = trials or make_trials(config)
    return open_model(bundle, kind, runtime=config.inference.runtime, wanted=wanted(config), trials=trials)


def configured_bundle(config: Config, task: str) -> Bundle | None:
    """Read the configured bundle of 'face' or 'voice'; None when it is off. Raises ModelError."""
    settings = config.inference
    name, own = (settings.face, settings.face_model) if task == "face" else (settings.voice, settings.voice_model)
    if name == "off":
        return None
    if own:
        folder, key = Path(own), f"inference.{task}_model"
    else:
        folder, key = (Path(settings.models) if settings.models else installed_models()) / name, f"inference.{task}"
    bundle = Bundle.load(folder)
    if bundle.task != task:
        raise ModelError(f"{bundle.folder}: is a {bundle.task} model; {key} needs one for the {task}")
    return bundle


def configured_variant(config: Config, bundle: Bundle) -> tuple[str, str]:
    """Return the kind of variant that is to run of a bundle, and why it is not the best. Raises ModelError."""
    return choose_variant(bundle, variant_setting(config, bundle.task)[1], config.inference.delegate)


def variant_setting(config: Config, task: str) -> tuple[str, str]:
    """Return the key that decides about the variant for 'face' or 'voice', and its value."""
    settings = config.inference
    own = settings.face_variant if task == "face" else settings.voice_variant
    return (f"inference.{task}_variant", own) if own else ("inference.variant", settings.variant)


def wanted(config: Config) -> Wanted:
    """Return what the models are to run on."""
    settings = config.inference
    return Wanted(settings.delegate, settings.options, settings.threads)


def make_in_use(config: Config) -> InUse:
    """Return the daemon's mark of what it runs models on, beside the outbox. Raises ConfigError."""
    return InUse(outbox_path(config).with_name(in_use.FILE))


def make_trials(config: Config, mark: InUse | None = None, *, anew: bool = False) -> Trials:
    """Return what judges accelerators; its verdicts are kept beside the outbox, where there is a place for one."""
    if not config.inference.tries_accelerators:
        return Trials()
    try:
        path = outbox_path(config).with_name(verdict_cache.FILE)
    except ConfigError:
        return Trials()
    return Trials(VerdictCache(path, version()), mark, anew=anew)


def make_face_detector(config: Config) -> FaceDetector:
    """Build the configured face detector. Raises ModelError without its file."""
    if config.face.detector == "haar":
        return HaarDetector(config.face.min_size)
    return open_blazeface(
        config.face.min_size, runtime=config.inference.runtime, threads=max(1, config.inference.threads)
    )


def make_face_reader(config: Config, model: Model) -> FaceReader:
    """Build the face path around an open model.

    Raises ModelError without the detector's file, and where the model takes another input than is made for it.
    """
    return FaceReader.create(
        model,
        face_preprocessing(model.bundle),
        make_face_detector(config),
        detect_every=config.face.detect_every,
        max_faces=config.face.max_faces,
    )


def face_preprocessing(bundle: Bundle) -> FacePreprocessing:
    """Read how a face becomes a model's input. Raises ModelError when that is not what the model takes."""
    where = str(bundle.folder / MANIFEST)
    preprocessing = FacePreprocessing.from_manifest(bundle.preprocessing, where=where)
    preprocessing.check_input(bundle.input_shape, where)
    return preprocessing


def wants_colour(face: Model | None) -> bool:
    """Whether the camera is to give colour, for the sake of the model for faces."""
    return face is not None and face_preprocessing(face.bundle).wants_colour


def make_still_reader(config: Config, model: Model) -> StillReader:
    """Build the face path for photographs around an open model. Raises ModelError without the detector's file."""

    def reader(min_size: float) -> FaceReader:
        face = dataclasses.replace(config.face, detect_every=1, min_size=min_size, max_faces=ALL_FACES)
        return make_face_reader(dataclasses.replace(config, face=face), model)

    near = config.face.min_size
    return StillReader(reader(near), reader(min(SMALLEST, near)), near)


def make_voice_reader(config: Config, model: Model) -> VoiceReader:
    """Build the voice path around an open model. Raises ModelError when it takes none of the features affectd has."""
    bundle, where = model.bundle, str(model.bundle.folder / MANIFEST)
    features = VoiceFeatures.from_manifest(bundle.features, where=where)
    features.check_input(bundle.input_shape, where)
    return VoiceReader(
        model,
        features,
        make_voice_activity(config),
        input_shape=bundle.input_shape,
        hop_s=config.voice.hop_s,
        min_snr_db=config.voice.min_snr_db,
    )


def with_voice_activity(config: Config) -> Config:
    """Return the settings with what `voice.activity = "auto"` comes to on this box."""
    if config.voice.activity != "auto":
        return config
    try:
        silero_activity.open_network()
    except ModelError as error:
        log.warning("%s; until then music and alarms count as speech", error)
        return dataclasses.replace(config, voice=dataclasses.replace(config.voice, activity="level"))
    return dataclasses.replace(config, voice=dataclasses.replace(config.voice, activity="silero"))


def make_voice_activity(config: Config) -> VoiceActivity:
    """Build the configured voice activity detector. Raises ModelError when Silero cannot be loaded."""
    chosen = with_voice_activity(config).voice.activity
    return SileroActivity() if chosen == "silero" else LevelActivity()


def make_fuser(config: Config, face: Model | None, voice: Model | None) -> Fuser:
    """Build the fusion with the skill that the models' manifests state."""
    settings = config.fusion
    return Fuser(
        strategy=cast(Strategy, settings.strategy),
        face_weight=settings.face_weight,
        enter=settings.enter,
        leave=settings.leave,
        dwell_s=settings.dwell_s,
        half_life_s=settings.half_life_s,
        absent_s=settings.absent_s,
        people=cast(Literal["front", "all"], settings.people),
        face_skill=EVEN_SKILL if face is None else _skill(face.bundle),
        voice_skill=EVEN_SKILL if voice is None else _skill(voice.bundle),
    )


def outbox_path(config: Config) -> Path:
    """Return the file that holds the events: the configured or the default one. Raises ConfigError without either."""
    return Path(config.outbox.path) if config.outbox.path else default_outbox(os.environ)


def open_outbox(config: Config, *, lock_wait_s: float = LOCK_WAIT_S) -> Outbox:
    """Open the store of events. Raises OutboxError."""
    settings, max_bytes = config.outbox, round(config.outbox.max_mb * 1e6)
    return Outbox(outbox_path(config), max_events=settings.max_events, max_bytes=max_bytes, lock_wait_s=lock_wait_s)


def own_privacy(config: Config) -> PrivacySources:
    """Return what holds privacy on by these settings alone."""
    return PrivacySources.beside(outbox_path(config), config.privacy)


def privacy_sources(config: Config) -> PrivacySources:
    """Return what holds privacy on by these settings, or for the service installed on this box.

    Raises CaptureError where the service's is not known.
    """
    return PrivacySources.beside(outbox_path(config), config.privacy, installed_privacy())


def make_origin(config: Config, models: dict[str, Model], run: str) -> Origin:
    """Return who publishes."""
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        boot = "unknown"
    return Origin(device_id(config), boot, run, {task: model.description for task, model in models.items()})


def _crash_marker(config: Config) -> Path | None:
    """Return the marker of a crash inside a camera's library; None where there is no place for it."""
    try:
        return outbox_path(config).with_name("inside-camera-library.json")
    except ConfigError:
        return None


def _has_password(mqtt: MqttConfig) -> bool:
    if mqtt.password_file:
        return True
    try:
        return bool(read_password(mqtt))
    except BrokerError:  # a credential that cannot be read: connecting reports it
        return True


def _skill(bundle: Bundle) -> Skill:
    """Return the skill for the seven shared labels: `calm` counts as neutral, and its skill with it."""
    skill = dict(zip(bundle.labels, bundle.skill, strict=True))
    calm = skill.pop("calm", None)
    if calm is not None:
        skill["neutral"] = (skill.get("neutral", calm) + calm) / 2
    return [skill.get(label) for label in LABELS]
