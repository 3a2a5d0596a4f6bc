"""In words why a broker cannot be reached or refuses the connection."""

from __future__ import annotations

import ssl

from affectd.config import MqttConfig
from affectd.publish import tls
from affectd.publish.certificate_errors import certificate_error

HUNG_UP = "Unspecified error"
"""How paho names a connection that ended without a word."""
SILENCE = "no answer"
GARBAGE = "no MQTT"
"""What else may come instead of CONNACK."""


def network_sentence(error: Exception, config: MqttConfig) -> str:
    """Explain why there is no connection, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return certificate_error(error, config)
    if isinstance(error, ssl.SSLError):
        explain_alert = tls.explain_alert(str(error), config)
        return explain_alert or f"TLS failed: {error.reason or error}; is {config.port} the port for TLS?"
    if config.tls and isinstance(error, ConnectionResetError):
        return f"ends the TLS handshake; is {config.port} the port for TLS?"
    if isinstance(error, TimeoutError):
        return "no answer; is it on, and is a firewall between?"
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections; is the broker running, and mqtt.port right?"
    return f"cannot be reached: {getattr(error, 'strerror', None) or error}"


def refusal_sentence(refusal: str, config: MqttConfig) -> str:
    """Explain what the broker answered to CONNECT, or did instead, and what to do."""
    if refusal in {"Bad user name or password", "Not authorized", "Bad authentication method"}:
        who = f"user name {config.username!r}" if config.username else "a client without a user name"
        return f"refuses {who} ({refusal}); see mqtt.username and mqtt.password_file"
    odd_answers = {HUNG_UP: "hangs up", SILENCE: "does not answer CONNECT", GARBAGE: "answers with no MQTT"}
    if refusal in odd_answers:
        what = odd_answers[refusal]
        return f"{what}; is {config.port} the port of an MQTT broker, and mqtt.tls right for it?"
    return f"refuses: {refusal}"
