"""TLS to the broker: the CA, the client certificate, and in words what went wrong."""

from __future__ import annotations

import socket
import ssl

from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.pem import readable

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

_TOO_WEAK = (
    ("MD_TOO_WEAK", "it is signed with MD5 or SHA-1; have it signed anew with 'openssl x509 -req -sha256 ...'"),
    ("KEY_TOO_SMALL", "its key is too short; make one with 'openssl genrsa 2048'"),
)


class _EncryptedKeyError(Exception):
    """The key wants a passphrase."""


def make_context(config: MqttConfig) -> ssl.SSLContext:
    """Trust the system's or the given CA; the certificate and the host name are always checked.

    Raises BrokerError for a file that is no good.
    """
    context = ssl.create_default_context() if not config.ca_file else _context_that_trusts(config.ca_file)
    # The same for every Python: from 3.13 on it also refuses a CA without key usage or key identifiers, which is how
    # home-made ones are, and trusts a file's certificate that is no root.
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
    if config.cert_file:
        _load_client_certificate(context, config.cert_file, config.key_file)
    return context


def _context_that_trusts(ca_file: str) -> ssl.SSLContext:
    with readable("mqtt.ca_file", ca_file) as path:
        try:
            return ssl.create_default_context(cafile=path)
        except (OSError, ValueError) as error:
            raise BrokerError(f"mqtt.ca_file {ca_file}: holds no certificate in PEM form ({error})") from error


def _load_client_certificate(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Load the client certificate; OpenSSL must never prompt for a passphrase, for nobody is there to type it."""

    def refuse() -> str:
        raise _EncryptedKeyError

    key_name, key_file = ("mqtt.key_file", key_file) if key_file else ("mqtt.cert_file", cert_file)
    with readable("mqtt.cert_file", cert_file) as certificate, readable(key_name, key_file) as key:
        try:
            context.load_cert_chain(certificate, key, password=refuse)
        except _EncryptedKeyError:
            raise BrokerError(
                f"{key_name} {key_file}: is encrypted with a passphrase, which nobody can type here; "
                f"'openssl pkey -in {key_file} -out plain.key' writes one without (readable for the service alone)"
            ) from None
        except (OSError, ValueError) as error:
            raise BrokerError(_why_not_loaded(error, cert_file, key_file)) from error


def _why_not_loaded(error: Exception, cert_file: str, key_file: str) -> str:
    """Return why OpenSSL does not load our certificate and key."""
    if "KEY_VALUES_MISMATCH" in str(error):
        first = "the first certificate there must be the box's own, those of its authorities follow"
        return f"mqtt.key_file {key_file}: is not the key of mqtt.cert_file {cert_file} ({first})"
    weak = next((remedy for name, remedy in _TOO_WEAK if name in str(error)), None)
    if weak is not None:
        return f"mqtt.cert_file {cert_file}: is too weak for today's OpenSSL: {weak}"
    what = "hold no certificate and key in PEM form"
    return f"mqtt.cert_file {cert_file} and mqtt.key_file {key_file}: {what} ({error})"


def why_hung_up(config: MqttConfig) -> str | None:
    """Explain what the broker has against us that hung up after the handshake; None when it is not about certificates.

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
        return explain_alert(str(error), config)
    except (OSError, ValueError):
        pass
    return None


def explain_alert(alert: str, config: MqttConfig) -> str | None:
    """Explain why the broker does not trust us, from OpenSSL's text of its alert; None if it is another alert."""
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
