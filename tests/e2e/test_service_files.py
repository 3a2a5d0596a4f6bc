"""The files in systemd/, as systemd itself judges them. scripts/prove-service runs them for real."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import affectd
from affectd import errors
from support import board_files

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "affectd.service"
BOARDS = SYSTEMD / "boards"


READS_THE_CLOCK = """
import ctypes, errno, os, sys
from pathlib import Path
from affectd.publish import clock

seccomp, libc = ctypes.CDLL("libseccomp.so.2"), ctypes.CDLL(None, use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p
denied, allowed = 0x00050000 | errno.EPERM, 0x7FFF0000
filter = ctypes.c_void_p(seccomp.seccomp_init(denied))
for name in sys.argv[1:]:
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:  # else this processor has no such call
        assert seccomp.seccomp_rule_add(filter, allowed, number, 0) == 0, name
clock.SYNCHRONIZED = Path("/nowhere")
before = clock.clock_synced()
assert seccomp.seccomp_load(filter) == 0

assert clock.clock_synced() is before
assert libc.adjtimex(ctypes.create_string_buffer(512)) >= 0
nonsense = (ctypes.c_long * 2)(-1, -1)  # a filter that let it through would have the kernel answer EINVAL
for call, *arguments in ((b"clock_settime", 0, nonsense), (b"settimeofday", nonsense, None)):
    assert libc.syscall(seccomp.seccomp_syscall_resolve_name(call), *arguments) == -1
    assert ctypes.get_errno() == errno.EPERM, call
print("read, not set")
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_sandbox_is_tight() -> None:
    judged = run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT))
    assert judged.returncode == 0, judged.stdout
    exposure = re.search(r"Overall exposure level for affectd.service: ([\d.]+)", judged.stdout)
    assert exposure is not None, judged.stdout + judged.stderr
    assert float(exposure[1]) <= 2.0


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/affectd/current/bin/affectd", "/bin/true"))
    judged = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert "affectd.service" not in judged.stderr  # unknown keys are warnings there, with exit code 0
    assert judged.returncode == 0, judged.stderr


def test_systemd_understands_every_line_of_the_boards_drop_ins(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/affectd/current/bin/affectd", "/bin/true"))
    (tmp_path / f"{UNIT.name}.d").mkdir()
    for conf in BOARDS.glob("*.conf"):
        (tmp_path / f"{UNIT.name}.d" / f"board-{conf.name}").write_text(conf.read_text())
    judged = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert "affectd.service" not in judged.stderr
    assert judged.returncode == 0, judged.stderr
    spoilt = tmp_path / f"{UNIT.name}.d" / "board-accel.conf"
    spoilt.write_text(spoilt.read_text() + "DevicesAllow=/dev/x rw\n")
    assert "board-accel.conf" in run("systemd-analyze", "verify", "--man=no", str(unit)).stderr, "it reads them"


@pytest.mark.parametrize(
    ("compatible", "accel", "chosen"),
    [
        (("raspberrypi,4-model-b", "brcm,bcm2711"), False, ["raspberry-pi"]),
        (("nvidia,p3768-0000+p3767-0005", "nvidia,tegra234"), False, ["tegra"]),
        (("radxa,rock-5b", "rockchip,rk3588"), True, ["accel", "rockchip"]),
        (("khadas,vim3", "amlogic,a311d", "amlogic,g12b"), False, []),
        ((), True, ["accel"]),
        ((), False, []),
    ],
)
def test_a_board_is_given_the_drop_ins_that_are_for_it(
    compatible: tuple[str, ...], accel: bool, chosen: list[str], tmp_path: Path
) -> None:
    if compatible:
        board_files.write(tmp_path, "proc/device-tree/compatible", "".join(f"{entry}\0" for entry in compatible))
    if accel:
        (tmp_path / "sys/class/accel").mkdir(parents=True)
    named = run(str(BOARDS / "choose"), str(tmp_path))
    assert (named.returncode, named.stderr) == (0, "")
    assert named.stdout.split() == chosen


def test_the_installer_puts_them_beside_the_unit_and_takes_those_of_another_board_away(tmp_path: Path) -> None:
    installer = (SYSTEMD.parent / "scripts" / "install-device").read_text()
    take_board = re.search(r"^take_board\(\) \{.*?^\}", installer, re.MULTILINE | re.DOTALL)
    assert take_board is not None
    (tmp_path / "release/systemd/boards").mkdir(parents=True)
    for file in BOARDS.iterdir():
        shutil.copy(file, tmp_path / "release/systemd/boards")
    everywhere = tmp_path / "release/systemd/boards/raspberry-pi.conf"
    everywhere.write_text(everywhere.read_text() + "# present: /proc\n")
    dropins = tmp_path / "affectd.service.d"
    board_files.write(dropins, "board-tegra.conf", "")
    board_files.write(dropins, "override.conf", "")  # of `systemctl edit`
    function = take_board[0].replace("/etc/systemd/system/affectd.service.d", str(dropins))
    done = run("bash", "-euc", f"{function}\ntake_board {tmp_path}/release")
    assert done.returncode == 0, done.stderr
    assert f"{dropins}/board-raspberry-pi.conf" in done.stderr
    assert {"board-raspberry-pi.conf", "override.conf"} <= {file.name for file in dropins.iterdir()}
    assert not (dropins / "board-tegra.conf").exists()


def test_the_sandbox_lets_the_clock_be_read_and_not_set() -> None:
    """Of what chrony and ntpd do the kernel alone can tell, by a system call that also sets the clock."""
    ended = run(sys.executable, "-c", READS_THE_CLOCK, *allowed_calls())
    assert ended.stdout.strip() == "read, not set", ended.stderr
    unit = UNIT.read_text()
    assert not re.search(r"^ProtectClock=yes|^DeviceAllow=.*rtc", unit, re.MULTILINE)
    for line in ("DevicePolicy=closed", "CapabilityBoundingSet=", "AmbientCapabilities=", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in unit


def allowed_calls() -> set[str]:
    """Return the system calls that the unit's SystemCallFilter= lines let through, put together as systemd does."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        named = {call for name in line.lstrip("~").split() for call in calls_of(name)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def calls_of(name: str) -> set[str]:
    """Return the calls of a set such as @clock and of those in it, or the call itself."""
    if not name.startswith("@"):
        return {name}
    listed = run("systemd-analyze", "--no-pager", "syscall-filter", name).stdout.split("\n")[1:]
    names = {line.strip() for line in listed if line.strip() and not line.strip().startswith("#")}
    return {call for inner in names for call in calls_of(inner)}


def test_the_user_is_made_and_in_the_groups_that_own_the_devices(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "affectd.sysusers"))
    assert made.returncode == 0, made.stderr
    assert "affectd:" in (tmp_path / "etc/passwd").read_text()
    groups = dict(line.split(":x:") for line in (tmp_path / "etc/group").read_text().splitlines())
    supplementary = re.search(r"^SupplementaryGroups=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert supplementary is not None
    for name in supplementary[1].split():
        assert groups[name].endswith(":affectd"), name


def test_the_guide_explains_every_field_of_health() -> None:
    schema = json.loads((Path(affectd.__file__).parent / "publish" / "schemas" / "health.schema.json").read_text())
    guide = (SYSTEMD / "README.md").read_text()
    explained = set(re.findall(r"`(\w+)(?:\.\*)?(?:\.\w+)?`", guide))
    assert set(schema["properties"]) - explained <= {"schema", "device"}  # nothing to do about these
    assert set(schema["properties"]["components"]["additionalProperties"]["properties"]["state"]["enum"]) <= explained


def test_the_guide_explains_every_exit_code_of_the_daemon() -> None:
    guide = (SYSTEMD / "README.md").read_text()
    for kind in (errors.AffectdError, errors.ConfigError, errors.ModelError, errors.CaptureError, errors.OutboxError):
        assert f"| {kind.exit_code} |" in guide


def test_the_guides_that_are_installed_are_those_that_errors_unit_and_guides_point_to() -> None:
    root, docs = SYSTEMD.parent, "/usr/share/doc/affectd/"
    installer = (root / "scripts" / "install-device").read_text()
    installed = dict(re.findall(rf'"\$release/(\S+)" {docs}(\S+)', installer))
    assert installed == {"README.md": "README.md", "systemd/README.md": "systemd/README.md"}
    for page in re.findall(r"Documentation=(.*)", UNIT.read_text())[0].split():
        assert page.removeprefix(f"file:{docs}") in installed.values()
    assert "](systemd/README.md)" in (root / "README.md").read_text()
    headings = re.findall(r"^#+ (.*)$", (root / "README.md").read_text(), re.MULTILINE)
    sources = [file.read_text() for file in (root / "device").rglob("*.py")]
    pointed_to = {name for source in sources for name in re.findall(r"see README, (\w+)", source)}
    assert pointed_to == {"Cameras", "Microphones"}
    assert pointed_to <= set(headings)
