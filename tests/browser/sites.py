"""Web sites with blank pages. Each is an origin from which scripts of a test send requests."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

BLANK_PAGE = "<!doctype html><title>A blank page</title>"


class Site:
    """A web server on the loopback address that answers every GET with a blank page.

    Attributes:
        port: the port on which it listens.
    """

    def __init__(self, port: int = 0) -> None:
        """Listen on a port; 0 means any free port.

        Raises:
            OSError: another process listens there.
        """
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _BlankPage)
        self.port = self._server.server_port

    @property
    def by_name(self) -> str:
        """Its origin on localhost: for a browser, all ports of localhost are one site."""
        return f"http://localhost:{self.port}"

    @property
    def by_address(self) -> str:
        """Its origin by IP address: for a browser, this is another site than localhost."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start to answer requests."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _BlankPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the blank page."""
        page = BLANK_PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Write no log."""
