"""Certificates and keys as people save them: with a byte order mark, as UTF-16, indented, or not as PEM at all."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affectd.errors import BrokerError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DER_SEQUENCE = 0x30
_PKCS7_OID = bytes.fromhex("06092a864886f70d0107")
_TO_PEM = {
    "a certificate in DER form": "openssl x509 -inform DER -in {file} -out {file}.pem",
    "a key in DER form": "openssl pkey -inform DER -in {file} -out {file}.pem",
    "a PKCS#12 store": "openssl pkcs12 -nodes -in {file} -out {file}.pem",
    "a PKCS#7 store in DER form": "openssl pkcs7 -inform DER -print_certs -in {file} -out {file}.pem",
    "a PKCS#7 store": "openssl pkcs7 -print_certs -in {file} -out {file}.pem",
    "a certificate request, which is not signed yet,": "openssl x509 -req -in {file} -CA ca.crt -CAkey ca.key "
    "-CAcreateserial -out {file}.pem",
}


@contextmanager
def readable(key: str, file: str) -> Iterator[str]:
    """Yield a path under which OpenSSL, which wants `-----BEGIN` at the beginning of a line, reads what `file` means.

    `key` is the setting that names the file. Raises BrokerError for one that cannot be read or is no PEM file.
    """
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise BrokerError(f"{key} {file}: cannot be read: {error.strerror}") from error
    other = _other_form(content)
    if other is not None:
        line = _TO_PEM[other].format(file=file)
        raise BrokerError(f"{key} {file}: holds {other}, and PEM form is needed: {line}")
    plain = _plain(content)
    if plain == content:
        yield file
        return
    in_memory = os.memfd_create("pem")  # a key is never written anywhere else
    try:
        os.write(in_memory, plain)
        yield f"/proc/self/fd/{in_memory}"
    finally:
        os.close(in_memory)


def _plain(content: bytes) -> bytes:
    """Return the same text without a byte order mark, in one byte a letter, with nothing before a line."""
    if content.startswith(_UTF_16):
        content = content.decode("utf-16", "replace").encode()
    content = content.removeprefix(codecs.BOM_UTF8)
    return b"".join(line.lstrip(b" \t") for line in content.splitlines(keepends=True))


def _other_form(content: bytes) -> str | None:
    """Return what a file holds that is not in PEM form, or of no use in it; None when it may be in order."""
    if b"-----BEGIN PKCS7" in content:
        return "a PKCS#7 store"
    if b"-----BEGIN CERTIFICATE REQUEST" in content or b"-----BEGIN NEW CERTIFICATE REQUEST" in content:
        return "a certificate request, which is not signed yet,"
    if len(content) < 2 or content[0] != _DER_SEQUENCE or b"-----BEGIN" in content:
        return None
    inside = content[2 + (content[1] & 0x7F if content[1] & 0x80 else 0) :]  # after the length
    if inside.startswith(_PKCS7_OID):
        return "a PKCS#7 store in DER form"
    if inside.startswith(b"\x02\x01\x03"):  # its version
        return "a PKCS#12 store"
    if inside[:2] == b"\x02\x01":
        return "a key in DER form"
    return "a certificate in DER form" if inside[:1] == bytes([_DER_SEQUENCE]) else None
