"""Cameras and microphones: picamera2, V4L2 and streams, PortAudio, and recorded clips."""
