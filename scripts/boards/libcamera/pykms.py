"""Stands in for pykms, of which picamera2 wants the pixel formats when it is imported, though nothing is displayed."""


class _Formats(type):
    def __getattr__(cls, name: str) -> str:
        return name


class PixelFormat(metaclass=_Formats):
    """Every format, by its name."""
