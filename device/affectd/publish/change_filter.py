"""When a retained document is worth sending: its content has changed, or the heartbeat is due."""

from __future__ import annotations

from collections.abc import Sequence

from affectd.events import EmotionState, Person


class ChangeFilter:
    """Remembers what was sent last. For one thread."""

    def __init__(self, heartbeat_s: float) -> None:
        self._heartbeat_s = heartbeat_s
        self._sent: dict[str, tuple[object, float]] = {}

    def state_is_due(self, state: EmotionState, now: float) -> bool:
        """Whether the state is to be published at `now`."""
        track = None if state.face is None else state.face.track
        speaking = state.voice is not None and state.voice.active
        return self._is_due("state", (state.emotion, state.reason, state.person, track, speaking), now)

    def people_are_due(self, people: Sequence[Person], now: float) -> bool:
        """Whether the people are to be published: who is there, who is in front, or an emotion has changed."""
        return self._is_due("people", [(person.number, person.emotion) for person in people], now)

    def _is_due(self, document: str, content: object, now: float) -> bool:
        sent, at = self._sent.get(document, (None, float("-inf")))
        if content == sent and now - at < self._heartbeat_s:
            return False
        self._sent[document] = (content, now)
        return True
