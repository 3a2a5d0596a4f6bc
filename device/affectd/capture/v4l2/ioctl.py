"""The calls of Video4Linux2 and their structures, as in <linux/videodev2.h>."""

from __future__ import annotations

import ctypes
from ctypes import Structure, Union, c_char, c_int32, c_long, c_uint8, c_uint16, c_uint32, c_ulong, c_void_p
from enum import IntEnum, IntFlag


class Cap(IntFlag):
    """Of `device_caps`: what a node does."""

    VIDEO_CAPTURE = 0x1
    VIDEO_CAPTURE_MPLANE = 0x1000
    VIDEO_M2M_MPLANE = 0x4000
    VIDEO_M2M = 0x8000
    STREAMING = 0x0400_0000
    IO_MC = 0x2000_0000
    """A node of a pipeline that a program such as libcamera must set up first."""


class BufferType(IntEnum):
    """How the pictures of a node lie: in one memory, or each plane in its own."""

    VIDEO_CAPTURE = 1
    VIDEO_CAPTURE_MPLANE = 9


class BufferFlag(IntFlag):
    """Of a buffer that the driver filled."""

    ERROR = 0x40
    """The picture is damaged."""
    TIMESTAMP_MONOTONIC = 0x2000


class Control(IntEnum):
    """Controls of a camera."""

    POWER_LINE_FREQUENCY = 0x0098_0918
    EXPOSURE_AUTO_PRIORITY = 0x009A_0903
    """`exposure_dynamic_framerate`: whether the rate may fall for a longer exposure."""


MEMORY_MMAP = 1
FIELD_NONE = 1
DISCRETE = 1
"""Type of an enumerated size or interval: one value, not a range."""
QUANTIZATION_FULL_RANGE = 1
CAN_TIME_PER_FRAME = 0x1000
DISABLED = 0x1
"""Flag of a control that is not there."""


class Capability(Structure):
    """Who a device is and what it does."""

    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FormatDescription(Structure):
    """One of the pixel formats that a node offers."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FrameSize(Structure):
    """One of the sizes of a pixel format: width and height, or the least, most and step of each."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("values", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    )


class FrameInterval(Structure):
    """One of the times between the frames of a size: a fraction of a second, or the least, most and step."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("values", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    )


class PixFormat(Structure):
    """A picture in one memory."""

    _fields_ = (
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    )


class PlanePixFormat(Structure):
    """One plane of a picture."""

    _pack_ = 1
    _fields_ = (("sizeimage", c_uint32), ("bytesperline", c_uint32), ("reserved", c_uint16 * 6))


class PixFormatMplane(Structure):
    """A picture with each plane in a memory of its own."""

    _pack_ = 1
    _fields_ = (
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("colorspace", c_uint32),
        ("planes", PlanePixFormat * 8),
        ("num_planes", c_uint8),
        ("flags", c_uint8),
        ("ycbcr_enc", c_uint8),
        ("quantization", c_uint8),
        ("xfer_func", c_uint8),
        ("reserved", c_uint8 * 7),
    )


class _AnyFormat(Union):
    # The pointer is in the kernel's union too, and aligns it.
    _fields_ = (("pix", PixFormat), ("pix_mp", PixFormatMplane), ("raw", c_uint8 * 200), ("pointer", c_void_p))


class Format(Structure):
    """What a node's pictures are or shall be."""

    _fields_ = (("type", c_uint32), ("fmt", _AnyFormat))


class _CaptureParm(Structure):
    _fields_ = (
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("numerator", c_uint32),
        ("denominator", c_uint32),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    )


class _AnyParm(Union):
    _fields_ = (("capture", _CaptureParm), ("raw", c_uint8 * 200))


class StreamParm(Structure):
    """The time between frames."""

    _fields_ = (("type", c_uint32), ("parm", _AnyParm))


class RequestBuffers(Structure):
    """How many buffers there shall be."""

    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    )


class _PlaceOfPlane(Union):
    _fields_ = (("mem_offset", c_uint32), ("userptr", c_ulong), ("fd", c_int32))


class Plane(Structure):
    """One plane of a buffer."""

    _fields_ = (
        ("bytesused", c_uint32),
        ("length", c_uint32),
        ("m", _PlaceOfPlane),
        ("data_offset", c_uint32),
        ("reserved", c_uint32 * 11),
    )


class _Place(Union):
    _fields_ = (("offset", c_uint32), ("userptr", c_ulong), ("planes", ctypes.POINTER(Plane)), ("fd", c_int32))


class Buffer(Structure):
    """A buffer on its way between driver and program."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("seconds", c_long),
        ("microseconds", c_long),
        ("timecode", c_uint8 * 16),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Place),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    )


class ControlQuery(Structure):
    """What a control allows."""

    _fields_ = (
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default_value", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class ControlValue(Structure):
    """The value of a control."""

    _fields_ = (("id", c_uint32), ("value", c_int32))


_WRITE, _READ = 1, 2


def _number(direction: int, number: int, structure: type[Structure] | type[c_int32]) -> int:
    """Return the number of a call as <asm-generic/ioctl.h> makes it, which Arm and x86 have."""
    return direction << 30 | ctypes.sizeof(structure) << 16 | ord("V") << 8 | number


QUERYCAP = _number(_READ, 0, Capability)
ENUM_FMT = _number(_READ | _WRITE, 2, FormatDescription)
S_FMT = _number(_READ | _WRITE, 5, Format)
REQBUFS = _number(_READ | _WRITE, 8, RequestBuffers)
QUERYBUF = _number(_READ | _WRITE, 9, Buffer)
QBUF = _number(_READ | _WRITE, 15, Buffer)
DQBUF = _number(_READ | _WRITE, 17, Buffer)
STREAMON = _number(_WRITE, 18, c_int32)
STREAMOFF = _number(_WRITE, 19, c_int32)
S_PARM = _number(_READ | _WRITE, 22, StreamParm)
S_CTRL = _number(_READ | _WRITE, 28, ControlValue)
QUERYCTRL = _number(_READ | _WRITE, 36, ControlQuery)
ENUM_FRAMESIZES = _number(_READ | _WRITE, 74, FrameSize)
ENUM_FRAMEINTERVALS = _number(_READ | _WRITE, 75, FrameInterval)
