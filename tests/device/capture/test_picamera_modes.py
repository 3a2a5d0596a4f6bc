"""Which sensor mode each of the common Pi cameras is read in, and how much of what it sees is left."""

from __future__ import annotations

import pytest

from affectd.capture.picamera_modes import SensorMode, choose_mode, picture_size

RECORDED = {
    # https://github.com/raspberrypi/rpicam-apps/issues/427
    "ov5647 (Camera Module 1)": """ov5647 [2592x1944]
        10: 640x480 [58.92 fps - (16, 0)/2560x1920 crop]
            1296x972 [43.25 fps - (0, 0)/2592x1944 crop]
            1920x1080 [30.62 fps - (348, 434)/1928x1080 crop]
            2592x1944 [15.63 fps - (0, 0)/2592x1944 crop]""",
    # https://github.com/raspberrypi/documentation/pull/2587
    "imx219 (Camera Module 2)": """imx219 [3280x2464]
        10: 640x480 [206.65 fps - (1000, 752)/1280x960 crop]
            1640x1232 [41.85 fps - (0, 0)/3280x2464 crop]
            1920x1080 [47.57 fps - (680, 692)/1920x1080 crop]
            3280x2464 [21.19 fps - (0, 0)/3280x2464 crop]
        8:  640x480 [206.65 fps - (1000, 752)/1280x960 crop]
            1640x1232 [41.85 fps - (0, 0)/3280x2464 crop]
            1920x1080 [47.57 fps - (680, 692)/1920x1080 crop]
            3280x2464 [21.19 fps - (0, 0)/3280x2464 crop]""",
    # https://github.com/raspberrypi/rpicam-apps/issues/515; the wide one's are the same
    "imx708 (Camera Module 3)": """imx708 [4608x2592]
        10: 1536x864 [120.13 fps - (768, 432)/3072x1728 crop]
            2304x1296 [56.03 fps - (0, 0)/4608x2592 crop]
            4608x2592 [14.35 fps - (0, 0)/4608x2592 crop]""",
    # https://github.com/raspberrypi/documentation/pull/2587
    "imx477 (High Quality)": """imx477 [4056x3040]
        10: 1332x990 [120.05 fps - (696, 528)/2664x1980 crop]
        12: 2028x1080 [50.03 fps - (0, 440)/4056x2160 crop]
            2028x1520 [40.01 fps - (0, 0)/4056x3040 crop]
            4056x3040 [10.00 fps - (0, 0)/4056x3040 crop]""",
    # https://github.com/AllskyTeam/allsky/issues/3632
    "imx296 (Global Shutter)": """imx296 [1456x1088]
        10: 1456x1088 [60.38 fps - (0, 0)/1456x1088 crop]""",
    # https://github.com/Gordon999/RPiCamGUI/issues/14
    "imx500 (AI Camera)": """imx500 [4056x3040]
        10: 2028x1520 [30.02 fps - (0, 0)/4056x3040 crop]
            4056x3040 [10.00 fps - (0, 0)/4056x3040 crop]""",
    # https://github.com/prusa3d/Prusa-Link/issues/987
    "ov5647 whose driver tells no crop": """ov5647 [2592x1944]
        10: 640x480 [30.00 fps - (65535, 65535)/65535x65535 crop]
            1296x972 [30.00 fps - (65535, 65535)/65535x65535 crop]
            2592x1944 [30.00 fps - (65535, 65535)/65535x65535 crop]""",
}
"""What `rpicam-hello --list-cameras` printed, with the bits of a pixel for its format's name; each as published at the
address above it."""


def modes_of(camera: str) -> tuple[tuple[int, int], list[SensorMode]]:
    """Return the sensor's size and the modes, as picamera2's `sensor_modes` have them."""
    head, *lines = RECORDED[camera].splitlines()
    modes, bit_depth = [], 0
    for line in lines:
        words = line.translate(str.maketrans("[](),/", "      ")).split()
        if words[0].endswith(":"):
            bit_depth = int(words.pop(0)[:-1])
        size, fps, _, _, x, y, field, _ = words
        limits = (int(x), int(y), *pair(field))
        modes.append({"size": pair(size), "fps": float(fps), "crop_limits": limits, "bit_depth": bit_depth})
    sensor = pair(head.partition("[")[2].strip("]"))
    return sensor, SensorMode.read([{"format": "MJPEG"}, *modes], sensor)


def pair(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


@pytest.mark.parametrize(
    ("camera", "fps", "size", "picture"),
    [
        ("ov5647 (Camera Module 1)", 10, (640, 480), (640, 480)),
        ("imx219 (Camera Module 2)", 10, (1640, 1232), (638, 480)),
        ("imx708 (Camera Module 3)", 10, (2304, 1296), (640, 360)),
        ("imx477 (High Quality)", 10, (2028, 1520), (640, 480)),
        ("imx477 (High Quality)", 50, (2028, 1520), (640, 480)),  # the faster mode sees 71 % of the height
        ("imx296 (Global Shutter)", 30, (1456, 1088), (640, 478)),
        ("imx500 (AI Camera)", 10, (2028, 1520), (640, 480)),
        ("ov5647 whose driver tells no crop", 10, (2592, 1944), (640, 480)),
    ],
)
def test_the_whole_field_of_view_is_in_the_picture(
    camera: str, fps: float, size: tuple[int, int], picture: tuple[int, int]
) -> None:
    sensor, modes = modes_of(camera)
    mode = choose_mode(modes, fps=fps, width=640)
    assert mode is not None
    assert mode.size == size
    assert picture_size(mode.field, 640, 480) == picture
    seen = mode.field[2:] if mode.size != sensor else sensor
    # What libcamera cuts away where the picture has another shape than what the sensor sees.
    left_over = min(1.0, (picture[0] / picture[1]) / (seen[0] / seen[1]))
    assert seen[0] * left_over >= 0.95 * sensor[0]
    assert seen[1] >= 0.95 * sensor[1]


def test_a_larger_picture_is_not_blown_up_from_a_small_mode() -> None:
    _, modes = modes_of("ov5647 (Camera Module 1)")
    mode = choose_mode(modes, fps=10, width=1280)
    assert mode is not None
    assert mode.size == (1296, 972)


def test_the_rate_is_kept_where_the_field_allows_it() -> None:
    _, modes = modes_of("ov5647 (Camera Module 1)")
    assert [mode.size for fps in (40, 45) if (mode := choose_mode(modes, fps=fps, width=1280))] == [
        (1296, 972),
        (640, 480),  # the only one that is fast enough
    ]


def test_of_two_alike_the_one_with_more_bits_is_taken() -> None:
    _, modes = modes_of("imx219 (Camera Module 2)")
    chosen = [choose_mode(order, fps=10, width=640) for order in (modes, modes[::-1])]
    assert [mode.bit_depth for mode in chosen if mode] == [10, 10]


def test_the_width_of_the_field_comes_before_its_height() -> None:
    wide = SensorMode((1920, 1080), (0, 500, 4000, 2000), 30, 10)
    high = SensorMode((960, 1080), (1000, 0, 2000, 3000), 30, 10)
    for modes in ([wide, high], [high, wide]):
        assert choose_mode(modes, fps=10, width=640) is wide


def test_a_camera_without_raw_modes_has_none_to_choose() -> None:
    assert choose_mode(SensorMode.read([{"format": "MJPEG"}], (1920, 1080)), fps=10, width=640) is None
