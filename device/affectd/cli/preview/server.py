"""The preview's page and what it shows, served to browsers on this box."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectd.errors import AffectdError

if TYPE_CHECKING:
    from affectd.cli.preview.view import View

LOOPBACK = "127.0.0.1"
FOLDER = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Nothing comes from elsewhere, nothing is kept, and no foreign page may embed any of it."""
VIEW = re.compile(r"/view\?seen=([0-9]{1,15})")
SEND_S = 20.0
"""A browser that takes nothing for this long, such as one whose machine sleeps, is given up."""
# A foreign web page may name this port under a host name of its own (DNS rebinding). Any port: ssh may forward it.
OUR_NAMES = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)


@contextmanager
def serving(view: View, port: int) -> Iterator[int]:
    """Serve the view inside, on `port` (0: a free one) of the loopback interface; yield it. Raises AffectdError."""
    try:
        server = _Server((LOOPBACK, port), _handler_for(view))
    except (OSError, OverflowError) as error:
        raise AffectdError(f"cannot serve on {LOOPBACK}:{port}: {error}; choose another --port") from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="preview", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what was our fault; that a browser has left is none."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler_for(view: View) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Serves the page, and the view to whoever names the revision seen last."""

        protocol_version = "HTTP/1.1"
        timeout = SEND_S

        def do_GET(self) -> None:
            try:
                self._answer()
            except (ConnectionError, TimeoutError):  # the browser has left, or sleeps
                self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
            """Log nothing."""

        def _answer(self) -> None:
            if OUR_NAMES.fullmatch(self.headers.get("Host", "")) is None:
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path in FILES:
                name, kind = FILES[self.path]
                self._send(kind, (FOLDER / name).read_bytes())
            elif (polled := VIEW.fullmatch(self.path)) is not None:
                self._send("application/json", view.wait(int(polled[1])))
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def _send(self, kind: str, content: bytes) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler
