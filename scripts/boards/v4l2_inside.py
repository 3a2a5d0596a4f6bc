"""What the parts v4l2 and v4l2-unplugged do inside the machine, with vivid: through affectd's parts and its program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd import assembly
from affectd.capture.pixel_format import FORMATS, JPEG, shown
from affectd.capture.v4l2.device import Device
from affectd.capture.v4l2.listing import list_v4l2_cameras
from affectd.cli.check.camera_probe import probe_camera
from affectd.config import CameraConfig, Config
from affectd.errors import CaptureError

# Video capture and output, metadata capture and output, of each of two devices; the second one's pictures in planes.
VIVID = ["vivid", "n_devs=2", "node_types=0x60101,0x60101", "multiplanar=1,2"]
DRIVER = Path("/sys/bus/platform/drivers/vivid")
WIDTH, HEIGHT, FPS, FRAMES = 320, 180, 2, 5
"""Small pictures, few of them: this machine is emulated."""
DAEMON = {
    "AFFECTD_DEVICE_ID": "vm",
    "AFFECTD_MQTT_HEALTH_S": "5",
    "AFFECTD_MICROPHONE_SOURCE": "off",
    "AFFECTD_INFERENCE_VOICE": "off",
    "AFFECTD_INFERENCE_FACE": "face-vgg16-slim",
    "AFFECTD_OUTBOX_PATH": "/tmp/outbox.db",
    "AFFECTD_CAMERA_WIDTH": str(WIDTH),
    "AFFECTD_CAMERA_HEIGHT": str(HEIGHT),
    "AFFECTD_CAMERA_FPS": str(FPS),
    "AFFECTD_CAMERA_PIXEL_FORMAT": "BGR3",
    "AFFECTD_CAMERA_TIMEOUT_S": "10",
}


def main(part: str) -> None:
    plug_in()
    say(f"Linux {os.uname().release}, vivid: two cameras, each with an output and metadata nodes")
    print(out("v4l2-ctl", "--list-devices"))
    first, second = (node.path for node in list_v4l2_cameras())
    if part == "formats":
        show_cameras()
        for path in (first, second):
            show_formats(path)
        show_faults(first)
    else:
        show_program(first, second)
    print("\nproved")


def plug_in() -> None:
    subprocess.run(["modprobe", *VIVID], check=True)
    subprocess.run(["udevadm", "settle"], check=True)


def show_cameras() -> None:
    say("affectd cameras")
    told = out("affectd", "cameras")
    print("\n".join(line[:200] for line in told.splitlines()))
    nodes = list_v4l2_cameras()
    expect(len(nodes) == 2, f"of {len(list(Path('/dev').glob('video*')))} video nodes, 2 are cameras")
    # vivid's two cameras are one device to udev, which gives the link to one of them.
    expect(any(node.stable_path.startswith("/dev/v4l/by-path/") for node in nodes), "udev's link is what to write")


def show_formats(path: str) -> None:
    with Device(path) as device:
        offered = device.formats()
        say(f"{path}, {device.buffer_type.name}: {len(offered)} formats at {WIDTH}x{HEIGHT}, {FPS} frames a second")
    control(path, "osd_text_mode=2")  # a running clock would tell the pictures apart
    known = [code for code in offered if code in FORMATS or code in JPEG]
    known.sort(key=lambda code: (code != "BGR3", offered.index(code)))
    reference = pictures(path, "YUYV")[0]
    for code in known:
        image, rate = pictures(path, shown(code))
        alike = float(np.corrcoef(image.ravel(), reference.ravel())[0, 1])
        line = f"{shown(code):7} {image.shape[1]}x{image.shape[0]}, {rate:.1f} fps, like YUYV: {alike:.3f}"
        expect(image.shape == (HEIGHT, WIDTH) and alike > 0.95 and rate > 0.8 * FPS, line)
    unknown = [shown(code) for code in offered if code not in known]
    refused = [refusal(path, pixel_format=code) for code in unknown]
    expect(
        all("is not known here" in told for told in refused),
        f"refused in a sentence: {' '.join(unknown)}; as: {refused[0] if refused else ''}",
    )


def show_faults(path: str) -> None:
    say("affectd check, camera.pixel_format = BGR3, of a test card")
    finding = probe_camera(config_of(path, "BGR3"))
    expect(f"{WIDTH}x{HEIGHT} BGR3 at {FPS} fps" in finding.found, f"{finding.state}: {finding.found}")
    say("What vivid breaks on request")
    control(path, "test_pattern=5", "osd_text_mode=2")
    told = failure(lambda: probe_camera(config_of(path)))
    expect("one even colour" in told, f"black to the bit, as affectd check tells it: {told}")
    control(path, "test_pattern=0", "osd_text_mode=0")
    control(path, "inject_vidioc_streamon_error=1")
    expect("cannot be opened" in (told := refusal(path)), f"an error at the start: {told}")
    camera = camera_of(path)
    camera.open()
    camera.read()
    control(path, "inject_v4l2_buf_flag_error=1")
    expect(camera.read().image.shape == (HEIGHT, WIDTH), "a damaged buffer is left out")
    control(path, "inject_fatal_streaming_error=1")
    expect("sends no pictures any more" in (told := failure(camera.read)), f"a queue that breaks: {told}")
    camera.close()
    holder = camera_of(path)
    holder.open()
    expect("another program holds it" in (told := refusal(path)), f"held: {told}")
    holder.close()


def show_program(first: str, second: str) -> None:
    subprocess.run(["mosquitto", "-d"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    say("affectd run, auto")
    environ = {**os.environ, **DAEMON, "AFFECTD_CAMERA_SOURCE": "auto"}
    with Path("/job/daemon.log").open("w") as log:
        daemon = subprocess.Popen(["affectd", "run"], env=environ, stdout=log, stderr=log)
        try:
            follow(first, second)
        finally:
            daemon.terminate()
            expect(daemon.wait(120) == 0, "SIGTERM ends it with 0")
    print("its log:")
    print("\n".join(f"    {line}" for line in Path("/job/daemon.log").read_text().splitlines()))


def follow(first: str, second: str) -> None:
    health = wait("frames come", lambda health: health["camera"] and health["frames_per_s"] > 0.8 * FPS)
    print(f"  {health['camera']}, {health['frames_per_s']} frames/s, {health['face_readings_per_s']} face readings/s")
    camera = health["camera"]
    expect(camera == {"format": "BGR3", "width": WIDTH, "height": HEIGHT, "fps": FPS}, "as it was asked for")
    control(first, "disconnect=1")
    wait(f"{first} is disconnected: frames come from {second}", lambda health: came_back(health, restarts=1))
    (DRIVER / "unbind").write_text("vivid.0")
    health = wait("both are unplugged", lambda health: "no camera found" in str(health["problem"]))
    print(f"  {health['problem']}")
    expect(health["camera"] is None, "nothing is told of pictures that do not come")
    (DRIVER / "bind").write_text("vivid.0")
    wait("plugged in again: frames come", lambda health: came_back(health, restarts=2))


def came_back(health: dict[str, Any], restarts: int) -> bool:
    camera = health["components"]["camera"]
    works = camera["state"] == "running" and health["frames_per_s"] > 0.5
    return bool(works and camera["restarts"] >= restarts)


def wait(what: str, condition: Callable[[dict[str, Any]], Any], within_s: float = 400) -> dict[str, Any]:
    began = time.monotonic()
    health: dict[str, Any] = {}
    while time.monotonic() - began < within_s:
        told = out("mosquitto_sub", "-t", "affectd/vm/health", "-C", "1", "-W", "10")
        health = json.loads(told) if told.strip() else {}
        if health and condition(health):
            expect(True, what)
            return health
        time.sleep(1)
    expect(False, f"{what}; {within_s:g} s later: {json.dumps(health)}")
    raise AssertionError


def config_of(path: str, pixel_format: str = "auto") -> Config:
    camera = CameraConfig(source=path, width=WIDTH, height=HEIGHT, fps=FPS, pixel_format=pixel_format, timeout_s=20)
    return Config(camera=camera)


def camera_of(path: str, pixel_format: str = "auto") -> Any:
    return assembly.make_camera(config_of(path, pixel_format), None)


def pictures(path: str, pixel_format: str) -> tuple[NDArray[np.uint8], float]:
    """Return the last of FRAMES pictures, and how many came a second."""
    camera = camera_of(path, pixel_format)
    camera.open()
    try:
        frames = [camera.read() for _ in range(FRAMES)]
    finally:
        camera.close()
    return frames[-1].image, (FRAMES - 1) / (frames[-1].captured_at - frames[0].captured_at)


def refusal(path: str, **settings: Any) -> str:
    camera = camera_of(path, **settings)
    try:
        return failure(camera.open)
    finally:
        camera.close()


def failure(call: Callable[[], Any]) -> str:
    """Return the sentence with which a call, or one of its repetitions, fails; nothing where none does."""
    try:
        for _ in range(FRAMES):
            call()
    except CaptureError as error:
        return str(error)
    return ""


def control(path: str, *settings: str) -> None:
    for setting in settings:
        subprocess.run(["v4l2-ctl", "-d", path, "-c", setting], check=True)


def out(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout


def expect(good: bool, what: str) -> None:
    print(f"  {'ok' if good else 'WRONG'}: {what}", flush=True)
    if not good:
        sys.exit(1)


def say(what: str) -> None:
    print(f"\n== {what}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
