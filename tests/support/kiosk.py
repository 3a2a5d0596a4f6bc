"""The kiosk page of the examples, served as a user would, on a broker that takes websockets."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from support.broker import Mosquitto, free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "device" / "examples" / "kiosk.html"
LIBRARY = ROOT / "tests" / "node" / "node_modules" / "mqtt" / "dist" / "mqtt.min.js"


class WebBroker(Mosquitto):
    """A broker that takes websockets too, on `web_port`."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.web_port = free_port()
        super().__init__(folder, more=f"listener {self.web_port} 127.0.0.1\nprotocol websockets\n", **options)


@contextmanager
def kiosk_server(folder: Path, *, library: bool = True) -> Iterator[str]:
    """Serve the page, with mqtt.min.js beside it unless `library` is False; yield its address."""
    site = folder / "site"
    site.mkdir()
    shutil.copy(PAGE, site)
    if library:
        shutil.copy(LIBRARY, site)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{PAGE.name}"
        server.shutdown()


def address(page: str, broker: WebBroker, **options: str) -> str:
    """Return the page's address with its options, for the box `box` unless they name another."""
    return f"{page}#{urlencode({'device': 'box', 'broker': f'ws://127.0.0.1:{broker.web_port}', **options})}"


class _Quiet(SimpleHTTPRequestHandler):
    def log_request(self, *_: object) -> None:
        pass
