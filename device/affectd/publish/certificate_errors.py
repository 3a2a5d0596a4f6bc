"""In words why the broker's certificate is not believed, what it lacks, and the openssl line that adds it."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import Any

from affectd.config import MqttConfig

_LOOK_S = 2.0
_EXPIRED, _NO_ISSUER, _UNVERIFIED_LEAF, _BAD_PURPOSE, _BAD_SIGNATURE = 10, 20, 21, 26, 7
_SELF_SIGNED, _SELF_SIGNED_ABOVE = 18, 19
_WRONG_NAMES = {62, 64}
_WEAK_KEY, _WEAK_CA_KEY, _WEAK_DIGEST = 66, 67, 68
_NO_CERTSIGN, _NO_CA = 32, 79
"""OpenSSL's X509_V_ERR codes, which stay the same while its wording changes."""
_RENEW_CA = (
    'printf "basicConstraints=critical,CA:TRUE\\nsubjectKeyIdentifier=hash" > ext && '
    "openssl x509 -in ca.crt -signkey ca.key -clrext -extfile ext -days 3650 -out new-ca.crt"
)


def certificate_error(error: ssl.SSLCertVerificationError, config: MqttConfig) -> str:
    """Return why we do not believe the broker's certificate, and what to do."""
    what, code = error.verify_message.rstrip("."), error.verify_code
    if code in _WRONG_NAMES:
        return f"{what}; {_names_sentence(config)}"
    if "not yet valid" in what:
        return f"its {what}: is this box's clock right?"
    if code == _EXPIRED and _shown(config) is None:
        return "its certificate has expired: renew it on the broker, if this box's clock is right"
    if code == _EXPIRED:  # trusted by itself it is in order
        return (
            "the certificate of its authority has expired: if this box's clock is right, make it anew with the same "
            f"key ('{_RENEW_CA}') and put it into mqtt.ca_file"
        )
    return f"its certificate is not trusted: {what}; {_remedy(code, config)}"


def _remedy(code: int, config: MqttConfig) -> str:
    ca = f"mqtt.ca_file {config.ca_file}" if config.ca_file else "mqtt.ca_file, which is empty (the system's count)"
    if code in {_NO_ISSUER, _UNVERIFIED_LEAF}:
        return (
            f"see {ca}: it lacks the certificate of {_issuer(config)}; if that is an intermediate authority, the "
            "broker must send its certificate too: 'cat broker.crt intermediate.crt > chain.crt' makes the certfile"
        )
    if code in {_SELF_SIGNED, _SELF_SIGNED_ABOVE}:
        return f"see {ca}: it must hold the certificate of the broker's authority, or a self-signed one itself"
    if code == _BAD_SIGNATURE:
        return f"see {ca}: it holds another authority of the same name, perhaps from before its key was made anew"
    if code in {_NO_CA, _NO_CERTSIGN}:
        return (
            f"see {ca}: an authority's certificate must have the extension basicConstraints = CA:TRUE, and keyUsage, "
            f"where it has one, keyCertSign; this adds it, and what was signed with the key stays good: '{_RENEW_CA}'"
        )
    if code == _BAD_PURPOSE:
        return (
            "its extendedKeyUsage must be absent or name serverAuth (and an authority's keyUsage keyCertSign); this "
            f"adds it: '{_sign(config, 'extendedKeyUsage=serverAuth')}'"
        )
    if code == _WEAK_DIGEST:
        return f"it is signed with MD5 or SHA-1; this signs it with SHA-256: '{_sign(config)}'"
    if code in {_WEAK_KEY, _WEAK_CA_KEY}:
        whose = "the broker's key" if code == _WEAK_KEY else "the key of its authority"
        return f"{whose} is too short: make one of 2048 bits ('openssl genrsa -out new.key 2048'), and certificates"
    return f"see {ca}"


def _names_sentence(config: MqttConfig) -> str:
    sentence = "mqtt.host must be a name that stands in the broker's certificate"
    certificate = _shown(config)
    if certificate is not None:
        names = [f"{kind}:{name}" for kind, name in certificate.get("subjectAltName", ())]
        names = names or ["no subjectAltName", *(f"CN {name}" for name in _common_names(certificate["subject"]))]
        sentence += f", which has {', '.join(names)}"
    return f"{sentence}; or this adds the name to it: '{_sign(config, certificate=certificate)}'"


def _sign(config: MqttConfig, extension: str = "", *, certificate: dict[str, Any] | None = None) -> str:
    """Return the line that makes the broker's certificate anew, for the host name we call it by and `extension`."""
    name = f"subjectAltName={'IP' if _is_address(config.host) else 'DNS'}:{config.host}"
    request = f"-key broker.key -subj /CN={config.host}"
    if certificate is not None and certificate["subject"] == certificate["issuer"]:
        return f"openssl req -x509 {request} -addext {name} -days 365 -out broker.crt"
    extensions = "\\n".join(filter(None, (name, extension)))
    return (
        f'printf "{extensions}" > ext && openssl req -new {request} | openssl x509 -req -CA ca.crt -CAkey ca.key '
        "-CAcreateserial -sha256 -extfile ext -days 365 -out broker.crt"
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _issuer(config: MqttConfig) -> str:
    certificate = _shown(config)
    names = [] if certificate is None else _common_names(certificate["issuer"])
    return f"its issuer, {names[0]!r}" if names else "its issuer"


def _common_names(of: tuple[tuple[tuple[str, str], ...], ...]) -> list[str]:
    return [value for parts in of for key, value in parts if key == "commonName"]


def _shown(config: MqttConfig) -> dict[str, Any] | None:
    """Read the certificate that the broker shows; None when that fails, or it would not even do by itself.

    It proves nothing: nothing is sent, and it serves to explain what is wrong with it.
    """
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    alone.check_hostname = False
    alone.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        with _shake_hands(anything, config) as stream:
            certificate = stream.getpeercert(binary_form=True)
        alone.load_verify_locations(cadata=certificate)  # Python parses only verified certificates into fields
        with _shake_hands(alone, config) as stream:
            return stream.getpeercert()
    except (OSError, ValueError):
        return None


def _shake_hands(context: ssl.SSLContext, config: MqttConfig) -> ssl.SSLSocket:
    plain = socket.create_connection((config.host, config.port), _LOOK_S)
    try:
        return context.wrap_socket(plain, server_hostname=config.host)
    except (OSError, ValueError):
        plain.close()
        raise
