"""The names of all topics of one device, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics below `base`/`device_id`, and Home Assistant's."""

    base: str
    device_id: str
    discovery_prefix: str = "homeassistant"
    """Empty: no discovery."""

    @property
    def root(self) -> str:
        """What all of the device's own topics begin with."""
        return f"{self.base}/{self.device_id}"

    @property
    def availability(self) -> str:
        """`online` or `offline`, retained; the last will."""
        return f"{self.root}/availability"

    @property
    def state(self) -> str:
        """The fused state, retained."""
        return f"{self.root}/state"

    @property
    def people(self) -> str:
        """Everybody in view, retained."""
        return f"{self.root}/people"

    @property
    def event(self) -> str:
        """One message per change of state, never retained."""
        return f"{self.root}/event"

    @property
    def faces(self) -> str:
        """Per-face readings, optional."""
        return f"{self.root}/faces"

    @property
    def voice(self) -> str:
        """Voice readings, optional."""
        return f"{self.root}/voice"

    @property
    def health(self) -> str:
        """How the daemon is, retained."""
        return f"{self.root}/health"

    @property
    def info(self) -> str:
        """What stays the same while the daemon runs, retained."""
        return f"{self.root}/info"

    @property
    def privacy(self) -> str:
        """`on` or `off`, retained: whether camera and microphone are closed."""
        return f"{self.root}/privacy"

    @property
    def privacy_command(self) -> str:
        """Where `on` and `off` are taken from."""
        return f"{self.root}/command/privacy"

    @property
    def commands(self) -> str:
        """A wildcard for whatever is sent as a command, the known one and others."""
        return f"{self.root}/command/+"

    @property
    def discovery(self) -> str:
        """Home Assistant's device discovery, retained."""
        return f"{self.discovery_prefix}/device/{self.device_id}/config"

    @property
    def retained(self) -> tuple[str, ...]:
        """All on which the broker may keep something of the device."""
        own = (self.availability, self.state, self.people, self.health, self.info, self.privacy)
        return (*own, self.discovery) if self.discovery_prefix else own

    @property
    def home_assistant_status(self) -> str:
        """Where Home Assistant publishes `online` after its start, whatever its discovery prefix is."""
        return "homeassistant/status"

    @property
    def discovery_status(self) -> str:
        """Where it does so when its birth message is configured below the discovery prefix."""
        return f"{self.discovery_prefix}/status"
