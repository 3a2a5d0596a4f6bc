"""The box's own id: from the files of a machine as they lie on real ones, in folders that stand in for its root."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from affectd.device_id import KEPT, Identity, identify, read_machine, readable, settle

ID = re.compile(r"[a-z0-9_-]{1,64}")
MACHINE = "4f1b7d0cc2a64b51a2b5c1d6f7e8091a"
OTHER = "0123456789abcdef0123456789abcdef"


class Box:
    """A machine's files and a state directory."""

    def __init__(
        self, folder: Path, *, machine_id: str = MACHINE + "\n", serial: str = "", host: str = "kiosk"
    ) -> None:
        self.root, self.state, self.host = folder / "root", folder / "state", host
        self.state.mkdir(parents=True)
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc/machine-id").write_text(machine_id)
        if serial:
            (self.root / "proc/device-tree").mkdir(parents=True)
            (self.root / "proc/device-tree/serial-number").write_text(serial + "\0")

    def card(self, name: str, address: str, *, bus: str = "pci0000:00", kind: str = "0") -> None:
        """Add a network card."""
        card, device = self.root / "sys/class/net" / name, self.root / f"sys/devices/{bus}/{name}"
        card.mkdir(parents=True)
        device.mkdir(parents=True)
        (card / "device").symlink_to(device)
        (card / "address").write_text(address + "\n")
        (card / "addr_assign_type").write_text(kind + "\n")

    def seen(self) -> Identity:
        return identify("", self.state, root=self.root, host=self.host)

    def started(self) -> Identity:
        return settle("", self.state, root=self.root, host=self.host)

    def cloned_to(self, folder: Path, **machine: str) -> Box:
        """The same card, state and all, in another machine."""
        clone = Box(folder, **{"host": self.host, **machine})
        shutil.copytree(self.state, clone.state, dirs_exist_ok=True)
        return clone


def test_a_configured_id_is_taken_as_it_is_and_nothing_is_kept(tmp_path: Path) -> None:
    box = Box(tmp_path)
    assert settle("Lobby_1", box.state, root=box.root) == Identity("Lobby_1", "device.id in the settings")
    assert list(box.state.iterdir()) == []


def test_boxes_of_one_image_have_ids_of_their_own_that_begin_with_the_host_name(tmp_path: Path) -> None:
    boxes = [Box(tmp_path / str(n), machine_id=f"{n + 1:032x}\n") for n in range(300)]
    ids = {box.started().id for box in boxes}
    assert len(ids) == 300
    assert all(re.fullmatch(r"kiosk-[0-9a-f]{8}", each) for each in ids)


def test_the_machine_id_is_not_published_nor_kept(tmp_path: Path) -> None:
    box = Box(tmp_path, serial="10000000abcdef01")
    number = box.started().id.removeprefix("kiosk-")
    kept = (box.state / KEPT).read_text()
    assert number not in MACHINE
    assert MACHINE not in kept
    assert "abcdef01" not in kept


def test_a_check_before_the_first_start_shows_the_id_that_the_start_keeps(tmp_path: Path) -> None:
    box = Box(tmp_path)
    before = box.seen()
    assert list(box.state.iterdir()) == []
    assert box.started().id == box.seen().id == box.started().id == before.id
    assert "the host name 'kiosk' and this machine's machine-id" in before.source
    assert box.seen().source == f"kept in {box.state / KEPT}"


def test_a_new_host_name_changes_a_kept_id_no_more(tmp_path: Path) -> None:
    box = Box(tmp_path)
    first = box.started().id
    box.host = "lobby"
    assert box.seen().id == box.started().id == first


def test_root_finds_the_id_that_the_service_keeps(tmp_path: Path) -> None:
    box = Box(tmp_path)
    service = box.root / "var/lib/affectd"
    service.mkdir(parents=True)
    first = settle("", service, root=box.root, host="kiosk").id
    box.host = "lobby"
    assert box.seen() == Identity(first, f"kept in {service / KEPT}")


@pytest.mark.parametrize("machine", [
    {"machine_id": OTHER + "\n", "serial": "10000000abcdef01"},
    {"serial": "10000000abcdef02"},
])  # fmt: skip
def test_a_card_that_is_cloned_after_its_first_start_chooses_anew(tmp_path: Path, machine: dict[str, str]) -> None:
    box = Box(tmp_path / "box", serial="10000000abcdef01")
    first = box.started().id
    clone = box.cloned_to(tmp_path / "clone", **machine)
    assert clone.seen().id != first
    assert clone.started().id == clone.seen().id != first
    assert clone.seen().source.startswith("kept")
    assert box.started().id == first


def test_a_disk_cloned_to_another_pc_is_told_by_its_network_cards(tmp_path: Path) -> None:
    """A PC shows its serial number to root alone."""
    box, clone = Box(tmp_path / "box"), Box(tmp_path / "clone")
    box.card("enp1s0", "0c:c4:7a:00:00:01")
    clone.card("enp1s0", "0c:c4:7a:00:00:02")
    first = box.started().id
    assert clone.started().id != first
    again = box.cloned_to(tmp_path / "again")
    again.card("enp1s0", "0c:c4:7a:00:00:03")
    assert again.started().id not in {first, clone.started().id}
    # A driver that loads late and a card that is put in later make no other machine of it.
    late = box.cloned_to(tmp_path / "late")
    assert late.started().id == first
    late.card("enp0s1", "0c:c4:7a:00:00:00")
    late.card("enp1s0", "0c:c4:7a:00:00:01")
    assert late.started().id == first


def test_what_is_plugged_in_or_made_up_identifies_nothing(tmp_path: Path) -> None:
    box = Box(tmp_path)
    before = read_machine(box.root)
    box.card("eth1", "00:e0:4c:00:00:01", bus="pci0000:00/usb1/1-1")
    box.card("wlan0", "5e:00:00:00:00:01", kind="3")  # a private address, another one each day
    box.card("dummy0", "00:00:00:00:00:00")
    assert read_machine(box.root) == before
    assert set(before) == {"machine-id"}


@pytest.mark.parametrize("nothing", ["", "uninitialized\n", "0" * 32 + "\n", "not an id\n"])
def test_without_machine_id_and_serial_number_a_number_is_drawn_and_kept(tmp_path: Path, nothing: str) -> None:
    boxes = [Box(tmp_path / name, machine_id=nothing, serial="0000000000000000") for name in ("a", "b", "c")]
    assert all("set device.id" in box.seen().advice for box in boxes)
    ids = [box.started().id for box in boxes]
    assert len(set(ids)) == 3
    assert [box.started().id for box in boxes] == [box.seen().id for box in boxes] == ids
    assert not any(box.seen().advice for box in boxes)


def test_a_state_directory_that_takes_nothing_leaves_the_id_as_it_is_derived(tmp_path: Path) -> None:
    box = Box(tmp_path / "box")
    for nowhere in (tmp_path / "missing", Path("/proc"), box.root / "etc/machine-id"):
        assert settle("", nowhere, root=box.root, host="kiosk") == box.seen()
    bare = Box(tmp_path / "bare", machine_id="")
    found = settle("", tmp_path / "missing", root=bare.root, host="kiosk")
    assert found == bare.seen()
    assert found.advice


@pytest.mark.parametrize("content", [
    b"", b"kiosk", b"[]", b"{}", b'{"id": "a/b", "machine": {}}', b'{"id": "", "machine": {}}', b"\xff\xfe",
    b'{"id": "kiosk-1", "machine": []}', b'{"id": "kiosk-1", "machine": {"machine-id": 7}}', b"[" * 100_000,
    json.dumps({"id": "k" * 65, "machine": {}}).encode(),
])  # fmt: skip
def test_a_kept_file_that_is_no_good_is_written_anew(tmp_path: Path, content: bytes) -> None:
    box = Box(tmp_path)
    (box.state / KEPT).write_bytes(content)
    chosen = box.started()
    assert re.fullmatch("kiosk-[0-9a-f]{8}", chosen.id)
    assert box.seen() == Identity(chosen.id, f"kept in {box.state / KEPT}")


@pytest.mark.parametrize(("host", "expected"), [
    ("kiosk", "kiosk"),
    ("KIOSK-7", "kiosk-7"),
    ("kiosk.example.org", "kiosk"),
    ("192.168.1.20", "192-168-1-20"),
    ("7", "7"),
    ("каса", "affectd"),
    ("каса-7", "7"),
    ("東京", "affectd"),
    ("küche", "kuche"),
    ("-----", "affectd"),
    ("___", "affectd"),
    (".", "affectd"),
    ("a b/c+d#e$", "a-b-c-d-e"),
    ("caf\udce9", "caf"),
    ("x" * 64, "x" * 64),
])  # fmt: skip
def test_what_a_host_name_leaves_readable(host: str, expected: str) -> None:
    assert readable(host) == expected


HOSTS = [
    "каса", "касса", "касир", "東京", "192.168.1.20", "192.168.1.21", "192-168-1-20", "KIOSK", "-" * 64, "-" * 63, "_",
    "x" * 64, "x" * 63 + "y", ("ab-" * 30)[:64], "kiosk.a.example", "kiosk.b.example", "caf\udce9", "a/b", "a+b", "a#b",
]  # fmt: skip


def test_host_names_that_look_alike_in_ascii_give_ids_of_their_own(tmp_path: Path) -> None:
    """Even on machines that nobody can tell apart."""
    boxes = [Box(tmp_path / str(n), host=host) for n, host in enumerate(HOSTS)]
    ids = [box.started().id for box in boxes]
    assert len(set(ids)) == len(HOSTS)
    assert all(ID.fullmatch(each) for each in ids)
    assert all(
        source.isprintable() for source in (Box(tmp_path / f"p{h!r:.4}", host=h).seen().source for h in HOSTS[-4:])
    )
