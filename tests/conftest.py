"""Fixtures that start the real parts tests run against."""
