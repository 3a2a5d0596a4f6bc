"""Why a box names no emotion, whose the emotion is, and what stands at the broker before and after a run."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.completeness import AVAILABILITY, EVENT, HEALTH, ROOT
from e2e.program import RESTLESS, Affectd
from support.broker import Listener, Message, Mosquitto
from support.media import write_clip
from support.scenes import scene
from support.stream_server import StreamServer

STATE, PEOPLE, INFO = f"{ROOT}/state", f"{ROOT}/people", f"{ROOT}/info"
LEFT, RIGHT = (160.0, 220.0, 170.0), (480.0, 220.0, 170.0)

Settings = dict[str, Mapping[str, Any]]


def newest(messages: list[Message], topic: str) -> Any:
    """Return the newest document of a topic; an empty one before the first."""
    told = [message for message in messages if message.topic == topic]
    return told[-1].json if told else {}


def shows(reason: str, **fields: Any) -> Any:
    """Make a condition: the newest state has this reason and these fields."""

    def holds(messages: list[Message]) -> bool:
        state = newest(messages, STATE)
        return bool(state.get("reason") == reason and all(state[name] == value for name, value in fields.items()))

    return holds


def clip_of(path: Path, *scenes: tuple[tuple[tuple[float, float, float], ...], float]) -> Settings:
    """Make a clip, each of whose scenes lasts so many seconds, and settings that loop it quickly."""
    frames = [scene(*faces) for faces, seconds in scenes for _ in range(round(seconds * 10))]
    return {"camera": {"source": str(write_clip(path, frames=frames, fps=10))}, "clip": {"loop": True}, **RESTLESS}


def test_somebody_replaced_by_somebody_who_shows_the_same_is_an_event(broker: Mosquitto, tmp_path: Path) -> None:
    settings = clip_of(tmp_path / "two.mp4", ((LEFT,), 4.0), ((RIGHT,), 4.0))
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings):

        def persons(messages: list[Message], topic: str) -> list[str]:
            told = [m.json for m in messages if m.topic == topic]
            return list(dict.fromkeys(one["person"] for one in told if one["emotion"] and one["person"]))[:2]

        def both(messages: list[Message]) -> bool:
            return len(persons(messages, EVENT)) == 2 and persons(messages, EVENT) == persons(messages, STATE)

        first, second = persons(listener.wait_for(both, 40), EVENT)
        states = [message.json for message in listener.on(STATE)]
        left = next(state for state in states if state["person"] == first)
        right = next(state for state in states if state["person"] == second)
        assert left["face"]["box"][0] < 0.4 < right["face"]["box"][0]
        assert left["face"]["track"] != right["face"]["track"]
        assert next(s for s in states if s["person"] == second and s["emotion"])["held_s"] < 4.0


def test_everybody_in_view_has_an_emotion_of_their_own(broker: Mosquitto, tmp_path: Path) -> None:
    settings = clip_of(tmp_path / "pair.mp4", ((LEFT, RIGHT), 4.0))
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings):

        def both(messages: list[Message]) -> bool:
            people = newest(messages, PEOPLE).get("people", [])
            return len(people) == 2 and all(person["emotion"] for person in people)

        people = newest(listener.wait_for(both, 40), PEOPLE)
        assert people["count"] == 2
        assert len({person["person"] for person in people["people"]}) == 2
        assert newest(listener.messages, STATE)["run"] == people["run"] == newest(listener.messages, INFO)["run"]


def test_a_camera_that_dies_is_no_person_who_left(broker: Mosquitto, tmp_path: Path) -> None:
    with StreamServer() as stream, Listener(broker, f"{ROOT}/#") as listener:
        stream.credentials = "operator:Secret7"
        camera = {"source": stream.url.replace("//", f"//{stream.credentials}@"), "timeout_s": 1.0}
        settings: Settings = {**RESTLESS, "camera": camera, "microphone": {"source": "off"}, "mqtt": {"health_s": 600}}
        with Affectd(tmp_path, broker, **settings):
            listener.wait_for(shows("shown"))
            listener.wait_for(shows("nobody"))
            stream.die()
            listener.wait_for(shows("no_camera", emotion=None, person=None))
            # Not at the next of its ten minutes, but when it happens.
            listener.wait_for(lambda messages: newest(messages, HEALTH)["status"] == "degraded")
            assert "camera" in newest(listener.messages, HEALTH)["problem"]
            for problem in {m.json["problem"] for m in listener.on(HEALTH)} - {None}:
                assert re.fullmatch(rf"camera {re.escape(stream.url)}: [^:]+; [^:]+", problem)
                assert not re.search("camera.+camera|operator|Secret7", problem)
            stream.come_back()
            listener.wait_for(shows("shown"))
            listener.wait_for(lambda messages: newest(messages, HEALTH)["components"]["camera"]["state"] == "running")


def test_privacy_takes_the_face_away_at_once(broker: Mosquitto, tmp_path: Path) -> None:
    settings = {**clip_of(tmp_path / "one.mp4", ((LEFT,), 4.0)), "mqtt": {"faces": True, "heartbeat_s": 1}}
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings):
        listener.wait_for(shows("shown"))
        assert listener.on(f"{ROOT}/faces")
        listener.publish(f"{ROOT}/command/privacy", "on")
        listener.wait_for(lambda _: listener.on(f"{ROOT}/privacy")[-1].payload == b"on")
        messages = listener.wait_for(shows("privacy", emotion=None, person=None))
        state = newest(messages, STATE)
        assert state["face"]["present"] is False
        listener.wait_for(lambda messages: newest(messages, PEOPLE)["count"] == 0)
        listener.wait_for(lambda messages: newest(messages, EVENT)["reason"] == "privacy")
        told = len(listener.on(STATE))
        listener.wait_for(lambda _: len(listener.on(STATE)) >= told + 2, 20)  # heartbeats
        # By when they were made: an event of before may come late.
        made = [m.json for m in listener.messages if m.topic in (STATE, EVENT, PEOPLE, f"{ROOT}/faces")]
        later = [told for told in made if told["time"] > state["time"]]
        assert later
        assert not [told for told in later if told.get("faces") or told.get("people") or told.get("person")]
        assert not any(told["face"]["present"] for told in later if "face" in told)
        listener.publish(f"{ROOT}/command/privacy", "off")
        listener.wait_for(shows("shown"))
        listener.wait_for(lambda messages: newest(messages, HEALTH)["components"]["camera"]["state"] == "running")


def test_what_stands_at_the_broker_after_the_end_and_before_the_next_start(broker: Mosquitto, tmp_path: Path) -> None:
    settings = clip_of(tmp_path / "one.mp4", ((LEFT,), 4.0))
    with Affectd(tmp_path, broker, **settings) as daemon:
        with Listener(broker, f"{ROOT}/#") as listener:
            first = newest(listener.wait_for(shows("shown"), 40), STATE)
            daemon.send(signal.SIGTERM)
            assert daemon.wait() == 0
        with Listener(broker, f"{ROOT}/#") as late:
            late.wait_for(lambda messages: {STATE, PEOPLE, HEALTH, AVAILABILITY} <= {m.topic for m in messages})
            assert shows("offline", emotion=None, person=None)(late.messages)
            assert newest(late.messages, PEOPLE)["count"] == 0
            assert newest(late.messages, HEALTH)["status"] == "offline"
        daemon.start()
        with Listener(broker, f"{ROOT}/#") as listener:
            second = newest(listener.wait_for(shows("shown"), 40), STATE)
        assert first["run"] != second["run"]
        assert first["person"] != second["person"]  # tracks begin at 1 again; who is who in a table does not
        daemon.kill()
        with Listener(broker, f"{ROOT}/#") as listener:
            listener.wait_for(
                lambda _: listener.on(AVAILABILITY)[-1:] and listener.on(AVAILABILITY)[-1].payload == b"offline"
            )
            began = len(listener.messages)
            daemon.start()
            listener.wait_for(lambda _: listener.on(AVAILABILITY)[-1].payload == b"online")
            topics = [message.topic for message in listener.messages[began:]]
            online = began + topics.index(AVAILABILITY)
            before = {message.topic: message for message in listener.messages[began:online]}
            assert before[STATE].json["reason"] == "starting"
            assert before[HEALTH].json["status"] == "starting"
            assert before[PEOPLE].json["count"] == 0
            assert INFO in before


def test_a_box_with_another_name_leaves_no_ghost_behind(broker: Mosquitto, tmp_path: Path) -> None:
    settings = clip_of(tmp_path / "one.mp4", ((LEFT,), 4.0))
    old, new = f"{ROOT}/", "affectd/other/"
    discovery = "homeassistant/device/{}/config"
    with Affectd(tmp_path, broker, **settings) as daemon, Listener(broker, "#") as listener:
        listener.wait_for(lambda _: listener.on(discovery.format("box")))
        daemon.send(signal.SIGTERM)
        assert daemon.wait() == 0
    with Affectd(tmp_path, broker, **settings, device={"id": "other"}), Listener(broker, "#") as listener:
        listener.wait_for(lambda _: listener.on(f"{new}availability"))
        listener.wait_for(lambda messages: any(m.topic == f"{old}state" and not m.payload for m in messages))
        listener.wait_for(lambda messages: any(m.topic == discovery.format("box") and not m.payload for m in messages))
    with Listener(broker, "#") as late:
        late.wait_for(lambda _: late.on(discovery.format("other")))
        late.publish("marker", "1")
        late.wait_for(lambda _: late.on("marker"))
        assert not [message.topic for message in late.messages if message.topic.startswith(old)]
        assert not late.on(discovery.format("box"))
