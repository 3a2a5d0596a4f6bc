"""The browser that tests look at pages with, itself."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from support.browser import browser_tab

PAGE = """<!doctype html><title>t</title><body style="margin:0"><p id="size"></p><script>
document.querySelector("#size").textContent = innerWidth + " " + matchMedia("(prefers-color-scheme: dark)").matches
console.error("said on the console")
fetch("http://far.example/").catch(() => { throw new Error("thrown") })
</script>"""


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_a_page_has_the_size_asked_for_and_its_errors_are_kept(tmp_path):
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "favicon.ico").write_bytes(b"")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    with server, browser_tab(390, 844, colours="dark") as tab:
        with tab.page.expect_event("pageerror"):
            tab.page.goto(f"http://127.0.0.1:{server.server_port}/")
        assert tab.page.text_content("#size") == "390 true"
        assert tab.page.screenshot().startswith(b"\x89PNG")
        server.shutdown()
    assert "said on the console" in tab.errors
    assert "not on this machine: http://far.example/" in tab.errors
    assert "thrown" in tab.errors
