"""What a Home Assistant shows of a box, held against what it should show, and printed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from home_assistant import HomeAssistant, comes

README = Path(__file__).parents[1] / "README.md"
PATIENCE_S = 60.0
KINDS = {"face": "binary_sensor", "voice": "binary_sensor", "problem": "binary_sensor", "privacy": "switch"}
"""Of entities that are no sensors."""
IN_THE_TABLE = ("device_class", "unit_of_measurement", "state_class", "icon", "options", "event_types")
"""Attributes; of lists, how many there are."""
ABOUT_US = ("mqtt", "affectd", "template")
"""Words in lines of the log that may be about a box; the rest is about what the bare environment lacks."""


class Checks:
    """Prints each check with what was found; `wrong` counts those that failed."""

    def __init__(self, home: HomeAssistant) -> None:
        self.wrong = 0
        self.home = home

    def check(self, what: str, found: Any, expected: Any) -> None:
        """Check that these are equal."""
        right = found == expected
        self.wrong += not right
        told = ", ".join(f"{k} {v}" for k, v in found.items()) if isinstance(found, dict) else found
        else_expected = "" if right else f"; expected {expected}"
        print(f"  {'right' if right else 'WRONG'}  {what}: {told}{else_expected}", flush=True)

    def comes(self, what: str, condition: Callable[[], bool]) -> None:
        """Check that this is so, or soon will be."""
        self.check(what, comes(condition, PATIENCE_S), True)

    def shows(self, device: str, **expected: str) -> None:
        """Check that a box's entities have these states, by their key, or soon will have."""

        def shown() -> dict[str, str | None]:
            return {key: self.home.state(entity_id(device, key)) for key in expected}

        comes(lambda: shown() == expected, PATIENCE_S)
        self.check(f"{device} shows", shown(), expected)

    def never_showed(self, device: str, key: str, states: Collection[str], *, since: int) -> None:
        """Check that a box's entity has had none of these states since so many changes of all entities."""
        values = [str(value) for name, value in self.home.changes[since:] if name == entity_id(device, key)]
        print(f"  {key} since then: {' -> '.join(dict.fromkeys(values))}")
        self.check(f"{key} shows who is not there", [value for value in values if value in states], [])

    def is_one_sentence(self, device: str, *, about: str, without: Collection[str]) -> None:
        """Check that a box's problem names what it is about once, and none of these secrets."""
        sentence = self.home.attribute(entity_id(device, "problem"), "problem")
        print(f"  its sentence: {sentence}")
        self.check(f"it names the {about} once", len(re.findall(rf"\b{about}\b", sentence)), 1)
        self.check("user name or password in it", [secret for secret in without if secret in sentence], [])

    def keys(self, device: str) -> list[str]:
        """Return the keys of all entities of a box, disabled ones too."""
        start = f"affectd_{device}_"
        return sorted(name.partition(start)[2] for name in self.home.entities() if start in name)

    def print_table(self, entities: Mapping[str, Mapping[str, Any]]) -> None:
        """Print entities, of the registry's entries, with what a dashboard shows of them."""
        off = {"state": "(off by default)", "attributes": {}}
        for name, entry in sorted(entities.items(), key=lambda one: one[0].partition(".")[2]):
            state = self.home.states.get(name, off)
            shown = {key: state["attributes"].get(key) for key in IN_THE_TABLE}
            told = [f"{k} {len(v) if isinstance(v, list) else v}" for k, v in shown.items() if v is not None]
            title = state["attributes"].get("friendly_name", entry["original_name"])
            print(f"  {name:<40} {title:<35} {state['state']:<29} {', '.join(told)}".rstrip())

    def check_log(self, expected: str) -> None:
        """Print what Home Assistant complained of, and check that all about a box is of what was `expected`."""
        lines = [line for line in self.home.log.splitlines() if " WARNING " in line or " ERROR " in line]
        ours = [line for line in lines if any(word in line.lower() for word in ABOUT_US)]
        for line in ours:
            print(f"  {line[:240]}")
        others = Counter(line.partition("[")[2].partition("]")[0] for line in lines if line not in ours)
        print(f"  of this environment, not of MQTT: {', '.join(f'{name} {n}' for name, n in sorted(others.items()))}")
        self.check("words against a box", [line for line in ours if expected not in line], [])


def entity_id(device: str, key: str) -> str:
    """Return the id of a box's entity."""
    return f"{KINDS.get(key, 'sensor')}.affectd_{device}_{key}"


def readme_example(text: str) -> Any:
    """Return the README's YAML example that has this text in it."""
    blocks = re.findall(r"```yaml\n(.+?)```", README.read_text(), re.DOTALL)
    return yaml.safe_load(next(block for block in blocks if text in block))
