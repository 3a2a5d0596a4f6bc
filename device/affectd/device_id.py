"""Who this box is: `device.id` where it is set, else the host name and a number that no clone of the image shares.

The number comes from the machine: its machine-id(5), never published raw but hashed for affectd alone, as
sd_id128_get_machine_app_specific(3) does; and, for cards are cloned with their machine-id on them, the serial number
of its board, or the addresses of its built-in network cards where the board has none. The id is kept in the state
directory with what the machine was, so that a new host name does not change it and a clone of the card does not
inherit it. A system without machine-id and serial number, such as many containers, draws a random number, if it can
be kept. Only files that everybody may read are used: service, root and user find the same id.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from affectd.config.keys import plain
from affectd.service.installed import STATE

KEPT = "device-id"
"""File in the state directory: {"id": ..., "machine": {source: [hash, ...]}}."""
LONGEST = 64
NUMBER_DIGITS = 8
"""Hexadecimal: of 1000 boxes with one host name, two have the same in one of 8000 such fleets."""
MACHINE_ID, SERIAL = "machine-id", "serial number"
_APPLICATION = bytes.fromhex("5d1bb7d7f6f84d3e9a2a2f1d3b0a64c7")

Machine = dict[str, list[str]]
"""What is known of this machine: source to hashes; of several network cards each counts."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The id in topics and client id, and where it comes from."""

    id: str
    source: str
    """The end of a sentence that begins with the id."""
    advice: str = ""
    """What to do when a clone would have the same id; empty when none would."""


def identify(configured: str, folder: Path, *, root: Path = Path("/"), host: str = "") -> Identity:
    """Return who this box is, without writing anything; `folder` is the state directory.

    `root` is where the machine's files are, `host` a host name that stands in for the system's.
    """
    machine = read_machine(root)
    return _settled(configured, folder, machine, root) or _derived(machine, host or os.uname().nodename)


def settle(configured: str, folder: Path, *, root: Path = Path("/"), host: str = "") -> Identity:
    """Return who this box is, and keep a derived id; a folder that takes no file is no reason to fail."""
    machine, host = read_machine(root), host or os.uname().nodename
    settled = _settled(configured, folder, machine, root)
    if settled is not None:
        return settled
    derived = _derived(machine, host)
    chosen = _drawn(host) if derived.advice else derived
    try:
        _store(folder / KEPT, chosen.id, machine)
    except OSError:
        return derived
    return replace(chosen, source=f"{chosen.source}; kept in {folder / KEPT}")


def _settled(configured: str, folder: Path, machine: Machine, root: Path) -> Identity | None:
    if configured:
        return Identity(configured, "device.id in the settings")
    for file in (folder / KEPT, root / STATE.relative_to("/") / KEPT):
        kept = _read_kept(file)
        if kept is not None and _same(kept[1], machine):
            return Identity(kept[0], f"kept in {file}")
    return None


def _derived(machine: Machine, host: str) -> Identity:
    """Make an id that is the same at every start, as long as machine and host name are."""
    # The host name too: machines that nobody can tell apart may at least be called differently.
    known = "\n".join([*(hashes[0] for hashes in machine.values()), host])
    number = hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:NUMBER_DIGITS]
    if machine.keys() & {MACHINE_ID, SERIAL}:
        source = f"from the host name '{plain(host)}' and this machine's {' and '.join(machine)}"
        return Identity(_named(host, number), source)
    source = f"from the host name '{plain(host)}', for this system has neither a machine-id nor a serial number"
    advice = "set device.id; else affectd run draws a random one, where it can keep that beside the outbox"
    return Identity(_named(host, number), source, advice)


def _drawn(host: str) -> Identity:
    name = _named(host, secrets.token_hex(NUMBER_DIGITS // 2))
    return Identity(name, f"from the host name '{plain(host)}' and a random number")


def read_machine(root: Path = Path("/")) -> Machine:
    """Return what distinguishes this machine from others, hashed; empty where nothing does."""
    found = {MACHINE_ID: _machine_id(root), SERIAL: _board_serial(root)}
    if not found[SERIAL]:
        found["network card"] = _built_in_addresses(root)
    return {source: [_hashed(value) for value in values] for source, values in found.items() if values}


def readable(host: str) -> str:
    """Return what of a host name may stand in a topic, an ACL and an entity's name: `a-z 0-9 _ -`."""
    label = host.partition(".")[0]
    if not any(c.isalpha() for c in label):  # an address, such as 192.168.1.20: its first number alone names nothing
        label = host
    bare = "".join(c for c in unicodedata.normalize("NFKD", label.lower()) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9_]+", "-", bare).strip("-_") or "affectd"


def _named(host: str, number: str) -> str:
    return f"{readable(host)[: LONGEST - len(number) - 1].rstrip('-_')}-{number}"


def _hashed(value: str) -> str:
    return hmac.digest(value.encode(), _APPLICATION, "sha256").hex()[:32]


def _same(kept: Machine, now: Machine) -> bool:
    """Whether it may be the same machine: nothing that is known of both differs. A driver may load after us."""
    return all(set(kept[name]) & set(now[name]) for name in kept.keys() & now.keys())


def _machine_id(root: Path) -> list[str]:
    file = root / "etc/machine-id"
    if (root / "run/machine-id").exists() and os.path.ismount(file):
        return []  # systemd's stand-in on a read-only root: another one at every boot
    value = _read(file)
    return [value] if re.fullmatch("[0-9a-f]{32}", value) and value.strip("0") else []


def _board_serial(root: Path) -> list[str]:
    serial = _read(root / "proc/device-tree/serial-number")
    return [serial] if len(set(serial)) > 1 else []  # some boards have nothing but zeros


def _built_in_addresses(root: Path) -> list[str]:
    """Return the permanent addresses of network cards that are not plugged in by USB, lowest first."""
    cards = (root / "sys/class/net").glob("*")
    built_in = [
        card
        for card in cards
        if (card / "device").exists()
        and "/usb" not in os.path.realpath(card / "device")
        and _read(card / "addr_assign_type") == "0"
    ]
    return sorted(address for address in (_read(card / "address") for card in built_in) if address.strip("0:"))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _read_kept(file: Path) -> tuple[str, Machine] | None:
    """Read the kept id; None where there is none, or what is no good."""
    try:
        document = json.loads(file.read_bytes())
        name, machine = document["id"], document["machine"]
        known = {str(source): [str(value) for value in values] for source, values in machine.items()}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    good = isinstance(name, str) and re.fullmatch(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}", name)
    return (name, known) if good else None


def _store(file: Path, name: str, machine: Machine) -> None:
    """Write it so that a power cut leaves the whole file or none. Raises OSError."""
    new = file.with_name(f"{KEPT}.new")
    with new.open("w", encoding="ascii") as stream:
        json.dump({"id": name, "machine": machine}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
