"""How tests start programs that Ctrl-C is to end."""

HEED_CTRL_C = ("env", "--default-signal=INT")
"""Put before a command: where the tests run in the background, the shell has them ignore SIGINT."""
