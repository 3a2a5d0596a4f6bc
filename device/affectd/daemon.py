"""The daemon: starts the configured pipeline, supervises it, and ends it cleanly."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import cast

from affectd import assembly
from affectd.capture.clip import Clip
from affectd.config import Config
from affectd.errors import ConfigError
from affectd.events import Reason, Strategy, no_state
from affectd.face.reader import FaceReader
from affectd.health_report import HealthReport
from affectd.inference.accelerators.cpu import NAME as CPU
from affectd.inference.model import Model
from affectd.pipeline import Pipeline
from affectd.publish.publisher import Publisher
from affectd.publish.retained_topics import RetainedTopics
from affectd.service.board import Board
from affectd.service.component import Component
from affectd.service.component_status import State
from affectd.service.meters import Meters
from affectd.service.notify import Notifier, Watchdog, first_pass_made
from affectd.service.pool import Pool
from affectd.service.privacy import PrivacyState, PrivacySwitch
from affectd.service.privacy_sources import PrivacySources
from affectd.service.supervisor import Supervisor
from affectd.service.thermal_governor import ThermalGovernor
from affectd.version import version
from affectd.voice.reader import VoiceReader

log = logging.getLogger(__name__)

TICK_S = 0.5
STOP_S = 5.0
"""How long components may take to stop."""
LAST_EVENTS_S = 3.0
"""How long the last events may take to reach the broker; the session takes as long again, and 2 s, to disconnect.
Together less than the unit's TimeoutStopSec."""
MODEL_START_S = 300.0
"""For the trials of the accelerators that one model may run on."""


class Daemon:
    """One run of affectd, from the configuration to the clean end."""

    def __init__(
        self,
        config: Config,
        *,
        privacy: PrivacySources | None = None,
        notifier: Notifier | None = None,
        board: Board | None = None,
    ) -> None:
        """Open clip, models and outbox; cameras, microphones and the broker are opened when it runs.

        `privacy` is what holds it on: without it, the settings and the service installed on this box. Raises
        CaptureError (a clip that is no good, a service whose privacy is not known), ModelError, OutboxError, or
        ConfigError (nothing to do).
        """
        privacy = privacy or assembly.privacy_sources(config)
        self._config = config
        self._notifier = notifier or Notifier()
        self._board = board or Board()
        self._governor = ThermalGovernor(self._board, config.camera.fps)
        self._meters = Meters()
        self._health_due = time.monotonic()
        self._shown: list[tuple[str, State | float | None]] = []
        """Components and their states in the newest health message, and the frames a second allowed."""
        self._ready = False
        self._models: dict[str, Model] = {}
        self._in_use = assembly.make_in_use(config)
        self._trials = assembly.make_trials(config, self._in_use)
        clip = assembly.open_clip(config, realtime=config.clip.realtime, loop=config.clip.loop)
        for task in ("face", "voice"):
            if config.inference.tries_accelerators:
                self._notifier.extend_start(MODEL_START_S)
            model = assembly.open_configured_model(config, task, self._trials)
            if model is not None:
                self._models[task] = model
        if "voice" in self._models:
            config = assembly.with_voice_activity(config)
        self._outbox = assembly.open_outbox(config)
        self._who = assembly.settled_identity(config)
        self._config = config = assembly.identified(config, self._who)
        self._publisher = Publisher(
            config.mqtt,
            origin=assembly.make_origin(config, self._models, self._outbox.run_id),
            device_name=assembly.device_name(config),
            version=version(),
            outbox=self._outbox,
            replay_per_s=config.outbox.replay_per_s,
            on_privacy=self._take_privacy_command,
            retained_topics=RetainedTopics(assembly.outbox_path(config).with_name("retained.json")),
        )
        self._pipeline = self._make_pipeline(clip)
        self._privacy = PrivacySwitch(
            privacy,
            close=self._close_devices,
            open_again=self._open_devices,
            on_change=self._privacy_changed,
        )
        self._supervisor = Supervisor([*self._pipeline.components, Component("privacy", self._privacy.run)])
        self._report = HealthReport(
            supervisor=self._supervisor,
            publisher=self._publisher,
            privacy=self._privacy,
            pipeline=self._pipeline,
            outbox=self._outbox,
            models=self._models,
            meters=self._meters,
            board=self._board,
            governor=self._governor,
        )

    def _make_pipeline(self, clip: Clip | None) -> Pipeline:
        config, face, voice = self._config, self._models.get("face"), self._models.get("voice")
        pipeline = Pipeline(
            config,
            camera=Pool.of(partial(assembly.make_camera, config, clip, colour=assembly.wants_colour(face))),
            microphone=Pool.of(partial(assembly.make_microphone, config, clip)),
            face=None if face is None else self._face_readers(face),
            voice=None if voice is None else self._voice_readers(voice),
            fuser=assembly.make_fuser(config, face, voice),
            publisher=self._publisher,
            meters=self._meters,
            clip=clip is not None,
        )
        if not pipeline.devices:
            raise ConfigError(
                "nothing to do: camera and microphone are off, or the clip has neither pictures nor sound, or the "
                "models for them are off; see camera.source, microphone.source, inference.face and inference.voice"
            )
        return pipeline

    def _face_readers(self, model: Model) -> Pool[FaceReader]:
        make = partial(assembly.make_face_reader, self._config)
        return Pool(make(model), lambda: make(self._open_again("face")))

    def _voice_readers(self, model: Model) -> Pool[VoiceReader]:
        make = partial(assembly.make_voice_reader, self._config)
        return Pool(make(model), lambda: make(self._open_again("voice")))

    def _open_again(self, task: str) -> Model:
        """Open a model once more, on the CPU, for a worker whose predecessor hangs in the one there is.

        Raises ModelError.
        """
        hanging, settings = self._models[task], self._config.inference
        on_cpu = dataclasses.replace(settings, delegate=CPU, options="", threads=max(1, settings.threads))
        model = assembly.open_configured_model(dataclasses.replace(self._config, inference=on_cpu), task)
        assert model is not None
        if hanging.delegate != CPU:
            fault = "it hung in use"
            log.error("%s runs on the CPU from now on: %s: %s", model.bundle.name, hanging.delegate, fault)
            self._trials.failed_in_use(model.bundle, fault)
            model = dataclasses.replace(model, delegate_reason=f"{hanging.delegate}: {fault}")
        self._models[task] = model
        return model

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set, or the clip has been played to its end and its events are on their way.

        Raises what ended a component for good, such as a clip that turned bad in the middle (CaptureError).
        """
        log.info("this box is %s (%s)", self._who.id, self._who.source)
        if self._who.advice:
            log.warning("a clone of this system would have the id %s too: %s", self._who.id, self._who.advice)
        if "voice" in self._models:
            log.info("voice activity detection: %s", self._config.voice.activity)
        self._privacy.poll()  # before any device is opened
        self._publisher.publish_privacy(self._privacy.state.closed)
        self._publish_initial_documents()
        self._publisher.start()
        self._supervisor.start()
        try:
            self._loop(stop)
        finally:
            self._shut_down()
        if self._supervisor.failure is not None:
            raise self._supervisor.failure

    def _publish_initial_documents(self) -> None:
        """Replace what an earlier run has left at the broker, before the box is called online."""
        has = [*self._pipeline.devices, *(["thermometer"] if self._board.temperature_c() is not None else [])]
        self._publisher.describe(self._config, has)
        self._publish_no_state("privacy" if self._privacy.state.on else "starting")
        self._publish_health(phase="starting")

    def _publish_no_state(self, reason: Reason) -> None:
        now = time.monotonic()
        self._publisher.publish_state(no_state(reason, cast(Strategy, self._config.fusion.strategy), now), now)
        self._publisher.publish_people((), now)

    def _loop(self, stop: threading.Event) -> None:
        watchdog = Watchdog(self._notifier, time.monotonic())
        self._health_due, short_of_memory = time.monotonic() + 1.0, False
        while not stop.wait(TICK_S):
            try:
                if self._finished():
                    return
                self._tick(watchdog)
            except MemoryError:  # the watchdog gets no ping for this round: if that lasts, it ends the daemon
                if not short_of_memory:
                    log.error("not enough memory to tend the daemon; trying again")
                short_of_memory = True
            else:
                if short_of_memory:
                    log.info("there is memory again")
                short_of_memory = False

    def _tick(self, watchdog: Watchdog) -> None:
        """Make one round: replace what is stuck, notify the service manager and, when it is due, the broker."""
        now = time.monotonic()
        self._supervisor.replace_stuck(now)
        statuses = self._report.statuses()
        watchdog.tick(statuses, now)
        self._notifier.status(self._report.sentence(statuses))
        if not self._ready and first_pass_made(statuses, now):
            self._ready = True
            self._notifier.ready()
        self._governor.poll()
        self._pipeline.limit_frames(self._governor.fps_limit)
        shown = [*((status.name, status.state) for status in statuses), ("fps limit", self._governor.fps_limit)]
        if now >= self._health_due or shown != self._shown:
            self._health_due, self._shown = now + self._config.mqtt.health_s, shown
            self._publish_health()

    def _finished(self) -> bool:
        """Whether the clip is over and all that was seen and heard in it has been fused."""
        states = {status.name: status.state for status in self._supervisor.statuses()}
        ended = {"finished", "failed"}
        return states["fusion"] in ended and all(states[name] in ended for name in self._pipeline.devices)

    def _shut_down(self) -> None:
        self._notifier.stopping()
        hanging = self._supervisor.stop(STOP_S)
        if hanging:
            log.error("%s did not stop within %g s and is left behind", " and ".join(hanging), STOP_S)
        with suppress(MemoryError):
            self._publish_no_state("offline")
            self._publish_health(phase="offline")
        self._publisher.stop(flush_s=LAST_EVENTS_S)
        self._outbox.close()
        self._in_use.clear()

    def _take_privacy_command(self, command: str) -> None:
        self._privacy.command(command)

    def _close_devices(self) -> list[str]:
        self._pipeline.keep_private(True)
        return self._supervisor.pause(self._pipeline.devices, STOP_S)

    def _open_devices(self) -> None:
        self._pipeline.keep_private(False)
        self._supervisor.resume(self._pipeline.devices)

    def _privacy_changed(self, state: PrivacyState) -> None:
        self._publisher.publish_privacy(state.closed)
        self._publish_health()

    def _publish_health(self, *, phase: str | None = None) -> None:
        self._publisher.publish_health(self._report.document(phase=phase))
