"""Bundles, and the TFLite runtimes and delegates that run them."""
