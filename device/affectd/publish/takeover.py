"""Another client with the same client id: each connects, and the broker disconnects the other."""

from __future__ import annotations

SUSPICIOUS = 3
"""So many connections in a row that broke off soon: not every broker reports that another client took the id."""


class TakeoverDetector:
    """Counts connections that broke off soon after they were made, for no reason of ours."""

    def __init__(self, client_id: str) -> None:
        self.suspicion: str | None = None
        """A sentence while it looks as if another client had our id."""
        self._client_id = client_id
        self._cut_short = 0

    def disconnected(self, reason: str, *, cut_short: bool, by_message: bool) -> str:
        """Take in the end of a connection, or of a try; return the reason with what is suspected.

        `cut_short`: the broker or the network ended it soon; `by_message`: perhaps at something that we had sent.
        """
        if not cut_short:
            self._cut_short = 0
        elif not by_message:
            self._cut_short += 1
        suspected = self._cut_short >= SUSPICIOUS and not by_message
        if suspected:
            reason += (
                f", {SUSPICIOUS} times in a row soon after connecting; if another client has the same client id "
                f"({self._client_id}), give each device an id of its own (device.id)"
            )
        self.suspicion = reason if suspected or "same client id" in reason else None
        return reason

    def held(self) -> None:
        """Take in that the connection has lasted: there is no other client any more."""
        self.suspicion = None
