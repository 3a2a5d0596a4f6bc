"""What the kernel of a board tells of its heat, as files below a folder."""

from __future__ import annotations

from pathlib import Path

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, path: str, text: str) -> None:
    """Write one of the kernel's files."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def zone(root: Path, number: int, temperature: float, *, policy: str = "step_wise", **trips: float) -> None:
    """Write a thermal zone, degrees Celsius; `trips` by kind and number, such as passive_0."""
    folder = f"sys/class/thermal/thermal_zone{number}"
    write(root, f"{folder}/temp", f"{round(temperature * 1000)}\n")
    write(root, f"{folder}/policy", f"{policy}\n")
    for trip, celsius in trips.items():
        kind, index = trip.rsplit("_", 1)
        write(root, f"{folder}/trip_point_{index}_type", f"{kind}\n")
        write(root, f"{folder}/trip_point_{index}_temp", f"{round(celsius * 1000)}\n")


def raspberry_pi(root: Path, temperature: float) -> Path:
    """Write what a Raspberry Pi 4 tells."""
    write(root, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    zone(root, 0, temperature, critical_0=110.0)
    return root
