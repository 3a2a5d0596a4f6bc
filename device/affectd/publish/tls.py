"""TLS to the broker: whom we trust, who we are, and in words what went wrong."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from affectd.config import MqttConfig
from affectd.errors import BrokerError

_LISTEN_S = 2.0
_CLIENT_CERTIFICATE_REFUSED = (
    "ALERT_UNKNOWN_CA",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_ACCESS_DENIED",
    "ALERT_DECRYPT_ERROR",
)
"""How OpenSSL names a broker's refusal of the certificate that we showed."""


class _EncryptedKeyError(Exception):
    """The key wants a passphrase."""


def make_context(config: MqttConfig) -> ssl.SSLContext:
    """Trust the system's or the given CA; the certificate and the host name are always checked.

    Raises BrokerError for a file that is no good.
    """
    for name in ("ca_file", "cert_file", "key_file"):
        _must_be_readable(f"mqtt.{name}", getattr(config, name))
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
    except (OSError, ValueError) as error:
        raise BrokerError(f"mqtt.ca_file {config.ca_file}: holds no certificate in PEM form ({error})") from error
    if config.cert_file:
        _show(context, config.cert_file, config.key_file or config.cert_file)
    return context


def _must_be_readable(key: str, file: str) -> None:
    if not file:
        return
    try:
        Path(file).open("rb").close()
    except OSError as error:
        raise BrokerError(f"{key} {file}: cannot be read: {error.strerror}") from error


def _show(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Load the client certificate; OpenSSL must never ask for a passphrase, for nobody is there to answer."""

    def refuse() -> str:
        raise _EncryptedKeyError

    try:
        context.load_cert_chain(cert_file, key_file, password=refuse)
    except _EncryptedKeyError:
        raise BrokerError(
            f"mqtt.key_file {key_file}: is encrypted with a passphrase, which nobody can type here; "
            f"'openssl pkey -in {key_file} -out plain.key' writes one without (readable for the service alone)"
        ) from None
    except (OSError, ValueError) as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise BrokerError(f"mqtt.key_file {key_file}: is not the key of mqtt.cert_file {cert_file}") from error
        what = "hold no certificate and key in PEM form"
        raise BrokerError(f"mqtt.cert_file {cert_file} and mqtt.key_file {key_file}: {what} ({error})") from error


def untrusted(error: ssl.SSLCertVerificationError) -> str:
    """Say why we do not believe the broker's certificate, and what to do."""
    what = error.verify_message.rstrip(".")
    if "ostname" in what or "IP address" in what:
        return f"{what}; mqtt.host must be a name that stands in the broker's certificate"
    if "not yet valid" in what:
        return f"its {what}: is this box's clock right?"
    if "expired" in what:
        return f"its {what}: renew it on the broker, if this box's clock is right"
    return f"its certificate is not trusted: {what}; see mqtt.ca_file"


def why_hung_up(config: MqttConfig) -> str | None:
    """Say what the broker has against us that hung up after the handshake; None when it is not about certificates.

    With TLS 1.3 it looks at our certificate after we think that all is well, and its alert is lost when we have
    sent CONNECT by then. So hands are shaken once more, and we only listen.
    """
    try:
        with (
            socket.create_connection((config.host, config.port), _LISTEN_S) as plain,
            make_context(config).wrap_socket(plain, server_hostname=config.host) as stream,
        ):
            stream.recv(1)
    except ssl.SSLError as error:
        return unwelcome(str(error), config)
    except (OSError, ValueError):
        pass
    return None


def unwelcome(alert: str, config: MqttConfig) -> str | None:
    """Say why the broker does not believe us, from OpenSSL's text of its alert; None when that says other things."""
    if "CERTIFICATE_REQUIRED" in alert or ("ALERT_HANDSHAKE_FAILURE" in alert and not config.cert_file):
        return "asks for a client certificate; set mqtt.cert_file and mqtt.key_file"
    if "ALERT_CERTIFICATE_EXPIRED" in alert:
        return f"says that our certificate has expired: renew mqtt.cert_file {config.cert_file}"
    refused = next((name for name in _CLIENT_CERTIFICATE_REFUSED if name in alert), None)
    if refused is None or not config.cert_file:
        return None
    return (
        f"does not take our certificate ({refused}); is mqtt.cert_file {config.cert_file} from an authority it trusts?"
    )
