"""Stands in for pykms, of which picamera2 wants the pixel formats when it is imported, though nothing is displayed."""

from unittest.mock import MagicMock

PixelFormat = MagicMock()
