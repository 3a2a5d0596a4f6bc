"""Addresses of cameras as people write them: which password the camera gets, and what is shown of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from affectd.capture.address import address_fault, concealed, encoded, is_unclear, without_secrets
from affectd.capture.camera_options import CameraOptions
from affectd.capture.opencv_camera import OpenCvCamera
from affectd.errors import CaptureError
from support.stream_server import StreamServer


@pytest.fixture(scope="module")
def server() -> Iterator[StreamServer]:
    with StreamServer() as camera:
        yield camera


def make_camera(address: str) -> OpenCvCamera:
    return OpenCvCamera(address, CameraOptions(width=320, height=240, fps=10, timeout_s=5))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *[
            (raw, raw)
            for raw in ("plain", "p#s@w", "p/ss", "p?ss", "p@ss", "p:ss", "100%", "p ss", "p%s/#?@", "Käse#1")
        ],
        ("p%23s%2Fw", "p#s/w"),
        ("p%2523", "p%23"),
        ("p%2Fs/w", "p%2Fs/w"),
    ],
)
def test_the_camera_gets_the_password_that_was_meant(server: StreamServer, written: str, meant: str) -> None:
    server.credentials = f"kiosk:{meant}"
    camera = make_camera(server.url.replace("http://", f"HTTP://kiosk:{written}@"))
    camera.open()
    try:
        assert camera.read().image.shape == (240, 320, 3)
    finally:
        camera.close()


@pytest.mark.parametrize("password", ["hun#ter2", "hun/ter2", "hun?ter2", "hun@ter2", "12/hun@ter2"])
def test_no_part_of_a_wrong_password_is_shown(
    server: StreamServer, password: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server.credentials = "kiosk:another"
    camera = make_camera(server.url.replace("http://", f"http://kiosk:{password}@"))
    with pytest.raises(CaptureError, match="write %2F for /, %3F for") as caught:
        camera.open()
    output = capfd.readouterr()
    said = camera.name + str(caught.value) + output.out + output.err
    assert not any(secret in said for secret in ("hun", "ter2", "kiosk"))


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://cam/1",
        "rtsp://user@cam/1",
        "rtsp://user:p%23s@cam:554/live?channel=1",
        "rtsp://cam/live@2",
        "http://cam:8080/video?mail=me@example.org",
        "http://me:pw@cam/video?mail=me@example.org",
        "rtsp://[fe80::1%eth0]:554/1",
        "udp://@239.0.0.1:1234",
        "udp://:1234",
        "srt://:9000?mode=listener",
        "file:///srv/a@b.mp4",
        "async:http://cam/1",
    ],
)
def test_an_address_that_ffmpeg_understands_stays_as_it_is(address: str) -> None:
    assert encoded(address) == address
    assert address_fault(address) == ""


@pytest.mark.parametrize(
    ("address", "given"),
    [
        ("RTSP://cam/1", "rtsp://cam/1"),
        ("rtsp://user:p#s@w@host", "rtsp://user:p%23s@w@host"),
        ("rtsp://user:p/s?t#u@10.0.0.5:554/1?x=y", "rtsp://user:p%2Fs%3Ft%23u@10.0.0.5:554/1?x=y"),
        ("rtsp://user:p/s@[::1]/1", "rtsp://user:p%2Fs@[::1]/1"),
        ("http://user:p@ss/w?rd#@cam", "http://user:p@ss%2Fw%3Frd%23@cam"),
    ],
)
def test_what_may_not_stand_in_a_password_is_encoded(address: str, given: str) -> None:
    assert encoded(address) == given
    assert address_fault(address) == ""
    assert not is_unclear(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://cam/video", "http://cam/video"),
        ("rtsp://user:p@ss/w?rd#@cam:554/1", "rtsp://cam:554/1"),
        ("rtsp://user:p#s@w@host", "rtsp://host"),
        ("http://cam/video?password=x", "http://cam/video"),
        ("http://cam/video?user=me@example.org&password=x", "http://cam/video"),
        ("http://user:p@cam/video?token=a@b", "http://..."),
        ("rtsp://cam:554/live/user=admin&password=x&channel=1", "rtsp://cam:554/live"),
        ("rtsp://user:2024/x@host/1", "rtsp://..."),
        ("rtsp://user:p/x@host:none/1", "rtsp://..."),
        ("user:p@rtsp://host/1", "rtsp://..."),
    ],
)
def test_an_address_is_shown_without_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mqtt://user:x@broker:1883", "mqtt://..."),
        ("user:x@broker", "..."),
        ("rtsp:/user:x@cam", "rtsp:/..."),
        ("http//cam/1?password=x", "http//cam/1?..."),
        ("kiosk.mp4", "kiosk.mp4"),
    ],
)
def test_an_error_shows_no_secret_of_what_is_hardly_an_address(text: str, shown: str) -> None:
    assert concealed(text) == shown


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("htp://cam/1", r"scheme that FFmpeg knows; did you mean http://\?"),
        ("rstp://cam/1", r"did you mean rtsp://\?"),
        ("onvif://cam/1", "another scheme that FFmpeg knows, as rtsp://user:password@host:554/path"),
        ("://cam/1", "begin with rtsp://"),
        ("http://", "name a host"),
        ("http:///video", "name a host"),
        ("http://:8080/video", "name a host"),
        ("rtsp://user:password@/1", "name a host"),
        ("rtsp://cam:99999/1", "a number from 1 to 65535"),
        ("rtsp://cam:0/1", "a number from 1 to 65535"),
        ("rtsp://cam:none/1", "a number from 1 to 65535"),
        ("rtsp://fe80::1/1", "a number from 1 to 65535"),
        ("rtsp://user:p/w@host:none/1", "write %2F for /"),
    ],
)
def test_an_address_that_cannot_be_opened_is_told_the_right_form(address: str, fault: str) -> None:
    assert re.search(fault, address_fault(address))
