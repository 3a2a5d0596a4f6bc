"""Show two boxes to a real Home Assistant Core and judge what it shows: called by scripts/prove-home-assistant."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from home_assistant import HomeAssistant, comes, ran
from home_assistant_boxes import PASSWORD, USER, Boxes
from home_assistant_checks import PATIENCE_S, Checks, readme_example

from support.broker import Listener, free_port

QUIET_S = 30.0
"""How long somebody stays away, and there, while the recorder's rows are counted."""
EXPIRED_S = 4 * 30.0
"""After so long without a heartbeat an entity is unavailable."""
GUARD_S = 4.0
"""Longer than the README's automation waits."""
GUARDED, PLAIN = "the README's automation", "one with the trigger 'to: happy' alone"
ALWAYS = {"emotion", "reason", "confidence", "change", "privacy", "problem", "outbox", "latency"}
OF_CAMERA = {"people", "face", "frame_rate"}
GONE = dict.fromkeys(("emotion", "reason", "confidence", "people", "face", "voice", "problem"), "unavailable")
NOBODY = {"emotion": "unknown", "reason": "nobody", "confidence": "unknown", "face": "off", "people": "0"}
HAPPY = {"emotion": "happy", "reason": "shown", "face": "on", "people": "1"}


class Proof(Checks):
    """What is to be shown, one method for each part."""

    def __init__(self, home: HomeAssistant, boxes: Boxes) -> None:
        super().__init__(home)
        self._boxes, self._room = boxes, boxes.room
        self._came = 0
        """How often somebody happy came before the kiosk in this part."""

    def run(self) -> None:
        """Show everything."""
        for part in (
            self.two_boxes,
            self.the_recorder,
            self.privacy,
            self.the_camera_dies,
            self.the_microphone_dies,
            self.a_clean_stop,
            self.a_crash,
            self.home_assistant_restarts,
            self.home_assistant_starts_while_the_box_is_dead,
            self.the_broker_restarts,
            self.the_broker_restarts_and_has_kept_nothing,
            self.broker_and_box_die_together,
            self.a_microphone_that_is_off,
            self.a_box_without_discovery,
            self.another_id,
            self.a_forgotten_box,
            self.another_discovery_prefix,
            self.the_log,
        ):
            print(f"\n{part.__name__.replace('_', ' ').capitalize()}", flush=True)
            self.home.runs.clear()
            self._came = 0
            part()
            time.sleep(GUARD_S)
            runs = self.home.runs
            self.check(f"{GUARDED} ran for each who came", runs[GUARDED], self._came)
            print(f"         {PLAIN} ran {runs[PLAIN]} times")

    def two_boxes(self) -> None:
        """Every entity of both, by its name, with what its dashboard shows; the README's card."""
        self.shows("kiosk", **NOBODY, problem="off", privacy="off", voice="off")
        self.comes("the lobby's face is on", lambda: self.home.state("binary_sensor.affectd_front_door_face") == "on")
        self._somebody_comes()
        self.check("two devices by their names", self.home.devices(), ["Hall", "affectd Front-Door"])
        entities = self.home.entities()
        self.print_table(entities)
        for device, keys in (
            ("kiosk", ALWAYS | OF_CAMERA | {"voice", "temperature"}),
            ("front_door", ALWAYS | OF_CAMERA),
        ):
            self.check(f"{device} has the entities of its devices", self.keys(device), sorted(keys))
        off = sorted(name for name, entry in entities.items() if entry["disabled_by"] and "kiosk" in name)
        expected = [f"sensor.affectd_kiosk_{key}" for key in ("frame_rate", "latency", "temperature")]
        self.check("off until asked for", off, expected)
        card = [one["entity"] for one in readme_example("type: entities")["entities"]]
        self.check("what the README's card names and is not there", [e for e in card if not self.home.state(e)], [])

    def the_recorder(self) -> None:
        """What it keeps while somebody comes and goes."""
        before = self.home.recorded()
        began = time.monotonic()
        for _ in range(3):
            self._room.somebody = False
            self.shows("kiosk", **NOBODY)
            time.sleep(QUIET_S)
            self._somebody_comes()
            time.sleep(QUIET_S)
        rows = self.home.recorded() - before
        minutes = (time.monotonic() - began) / 60
        kept = {entity: count for entity, count in sorted(rows.items()) if "affectd" in entity}
        print(f"  {sum(kept.values())} rows in {minutes:.1f} minutes in which somebody came to the kiosk three times,")
        print("  and the lobby's clip went round:")
        for entity, count in kept.items():
            print(f"    {count:>3} {entity}")
        kiosk = sum(count for entity, count in kept.items() if "kiosk" in entity)
        self.check("at most 8 rows of the kiosk each time that somebody came or went", kiosk <= 6 * 8, True)

    def privacy(self) -> None:
        """Turned on and off from Home Assistant."""
        switch = "switch.affectd_kiosk_privacy"
        mark = len(self.home.changes)
        self.home.turn(switch, True)
        closed = {"face": "unavailable", "people": "unavailable", "voice": "unavailable"}
        self.shows("kiosk", privacy="on", emotion="unknown", reason="privacy", problem="off", **closed)
        since = self.home.changes.index((switch, "on"), mark)
        time.sleep(3)
        told = [one for one in self.home.changes[since:] if one[0].endswith(("kiosk_face", "kiosk_emotion"))]
        self.check("face or emotion once it says on", [v for _, v in told if v not in {"unavailable", "unknown"}], [])
        self.home.turn(switch, False)
        self.shows("kiosk", privacy="off", **HAPPY, problem="off", voice="off")
        self._has_come()

    def the_camera_dies(self) -> None:
        """A broken camera is no person who left."""
        self._room.die()
        gone = {"face": "unavailable", "people": "unavailable"}
        self.shows("kiosk", emotion="unknown", reason="no_camera", problem="on", voice="off", **gone)
        self.is_one_sentence("kiosk", about="camera", without=(USER, PASSWORD))
        self._room.come_back()
        self.shows("kiosk", **HAPPY, problem="off")
        self._has_come()
        problem = self.home.attribute("binary_sensor.affectd_kiosk_problem", "problem")
        self.check("without a problem no sentence", problem, None)

    def the_microphone_dies(self) -> None:
        """It takes its own entity with it, and no other."""
        self._boxes.kill_sound()
        self.shows("kiosk", **HAPPY, problem="on", voice="unavailable")
        self.is_one_sentence("kiosk", about="microphone", without=(USER, PASSWORD))
        self._boxes.restart_sound()
        self.shows("kiosk", **HAPPY, problem="off", voice="off")

    def a_clean_stop(self) -> None:
        """While it is off nothing is known, and the next start shows nobody until somebody is seen."""
        self._boxes.stop_kiosk()
        self.shows("kiosk", **GONE)
        self._starts_with_nobody()

    def a_crash(self) -> None:
        """As after a clean stop; the broker speaks for the box."""
        self._boxes.kiosk.kill()
        self.shows("kiosk", **GONE)
        self._starts_with_nobody()

    def _starts_with_nobody(self) -> None:
        self._room.somebody = False
        mark = len(self.home.changes)
        self._boxes.kiosk.start()
        self.shows("kiosk", **NOBODY, voice="off")
        for key in ("emotion", "face", "reason"):
            self.never_showed("kiosk", key, {"happy", "on", "shown"}, since=mark)
        self._somebody_comes()

    def home_assistant_restarts(self) -> None:
        """It knows the boxes again, with their states."""
        self.home.stop()
        self.home.start()
        self.shows("kiosk", **HAPPY, privacy="off", problem="off", voice="off")
        self.check("both boxes are there", self.home.devices(), ["Hall", "affectd Front-Door"])

    def home_assistant_starts_while_the_box_is_dead(self) -> None:
        """It does not believe what the box left behind."""
        self._boxes.kiosk.kill()
        self.shows("kiosk", **GONE)
        self.home.stop()
        self.home.start()
        time.sleep(GUARD_S)  # for the broker's messages
        self.shows("kiosk", **GONE)
        self._starts_with_nobody()

    def the_broker_restarts(self) -> None:
        """Everything is unavailable meanwhile, and back after."""
        self._boxes.broker.kill()
        self.shows("kiosk", **GONE)
        self._boxes.broker.start()
        self.shows("kiosk", **HAPPY, privacy="off", problem="off", voice="off")

    def the_broker_restarts_and_has_kept_nothing(self) -> None:
        """The box says it all again."""
        self._boxes.broker.kill()
        (self._boxes.broker.folder / "mosquitto.db").unlink()
        self.shows("kiosk", **GONE)
        self._boxes.broker.start()
        self.shows("kiosk", **HAPPY, privacy="off", problem="off", voice="off")
        with Listener(self._boxes.broker, "affectd/kiosk/+", "homeassistant/device/kiosk/config") as late:
            kept = ("availability", "state", "people", "health", "info", "privacy", "config")
            self.comes(f"kept again: {kept}", lambda: len({m.topic for m in late.messages if m.retain}) == len(kept))

    def broker_and_box_die_together(self) -> None:
        """Then nobody says that the box is offline, and the broker still has its last state."""
        self._boxes.broker.kill()
        self._boxes.kiosk.kill()
        self.shows("kiosk", **GONE)
        self._boxes.broker.start()
        began = time.monotonic()
        self.shows("kiosk", emotion="happy", face="on")
        comes(lambda: self.home.state("sensor.affectd_kiosk_emotion") != "happy", EXPIRED_S + PATIENCE_S)
        print(f"  after {time.monotonic() - began:.0f} s:")
        self.shows("kiosk", **GONE)
        self._starts_with_nobody()

    def a_microphone_that_is_off(self) -> None:
        """Its entity goes at the next start, and comes back with it."""
        self._room.somebody = False
        for microphone, has_voice in (("off", False), ("default", True)):
            self._boxes.change_kiosk(microphone=microphone)
            self.shows("kiosk", **NOBODY)
            self.check(f"with microphone {microphone} there is a voice", "voice" in self.keys("kiosk"), has_voice)

    def a_box_without_discovery(self) -> None:
        """It disappears at its next start."""
        self._boxes.change_kiosk(discovery_prefix="")
        self.comes("the device is gone", lambda: self.home.devices() == ["affectd Front-Door"])
        self.check("its entities", self.keys("kiosk"), [])

    def another_id(self) -> None:
        """Nothing of the old one stays."""
        self._boxes.change_kiosk("bar")
        self.shows("bar", **NOBODY)
        self._boxes.change_kiosk()
        self.shows("kiosk", **NOBODY)
        self.check("entities of the old one", self.keys("bar"), [])

    def a_forgotten_box(self) -> None:
        """`affectd forget` takes device and entities away."""
        for line in self._boxes.forget_kiosk():
            print(f"  {line}")
        self.comes("the device is gone", lambda: self.home.devices() == ["affectd Front-Door"])
        self.check("its entities", self.keys("kiosk"), [])

    def another_discovery_prefix(self) -> None:
        """Set in Home Assistant and in the box; either birth topic leads to a new announcement."""
        self.home.set_discovery_prefix("ha/discovery")
        self._boxes.change_kiosk(discovery_prefix="ha/discovery")
        self.shows("kiosk", **NOBODY, voice="off")
        with Listener(self._boxes.broker, "nothing") as hand:
            for birth in ("ha/discovery/status", "homeassistant/status"):
                hand.publish("ha/discovery/device/kiosk/config", "", retain=True)
                self.comes("its entry is cleared: the box is gone", lambda: "Hall" not in self.home.devices())
                hand.publish(birth, "online")
                self.shows("kiosk", **NOBODY, voice="off")
        self.home.stop()
        self.home.start()
        self.shows("kiosk", **NOBODY, voice="off")

    def the_log(self) -> None:
        """What Home Assistant complained of: that the broker was killed, nothing else."""
        self.check_log("connection was lost")

    def _somebody_comes(self) -> None:
        self._room.somebody = True
        self.shows("kiosk", **HAPPY)
        self._has_come()

    def _has_come(self) -> None:
        self._came += 1
        comes(lambda: self.home.runs[GUARDED] >= self._came, PATIENCE_S)


def main() -> int:
    """Show it all; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/prove-home-assistant", description=__doc__)
    parser.add_argument("tree", type=Path, help="a Debian tree with Home Assistant in /opt/ha")
    tree = parser.parse_args().tree
    plain = {"triggers": [{"trigger": "state", "entity_id": "sensor.affectd_kiosk_emotion", "to": "happy"}]}
    automations = [
        {**readme_example("triggers:"), "id": "guarded", "actions": ran(GUARDED)},
        {**plain, "id": "plain", "alias": PLAIN, "actions": ran(PLAIN)},
    ]
    home = HomeAssistant(tree, free_port(), automations)
    print(f"Home Assistant Core {home.version}, mosquitto, {time.strftime('%F', time.gmtime())}", flush=True)
    with tempfile.TemporaryDirectory() as name, Boxes(Path(name)) as boxes:
        proof = Proof(home, boxes)
        try:
            home.start()
            home.add_broker(boxes.broker.port)
            boxes.kiosk.start()
            boxes.lobby.start()
            proof.run()
        finally:
            home.stop()
    print(f"\n{proof.wrong} wrong" if proof.wrong else "\nall right")
    return 1 if proof.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
