"""A mail server that takes every letter, in a process of its own."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from types import TracebackType
from typing import Self


class MailSink:
    """Takes every letter and keeps none; it ends when the context ends."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address for `GATELODGE_SMTP_URL`."""
        return f"smtp://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Start it, and wait until it listens."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(128)
            self._port = listening.getsockname()[1]
            listening.set_inheritable(True)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.mail_sink", str(listening.fileno())],
                pass_fds=[listening.fileno()],
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


async def _speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a mail server does that takes everything (RFC 5321)."""
    writer.write(b"220 sink\r\n")
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-sink\r\n250 PIPELINING\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await writer.drain()
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
            elif verb == b"QUIT":
                break
            else:
                writer.write(b"250 ok\r\n")
            await writer.drain()
    writer.close()


async def _serve(descriptor: int) -> None:
    listening = socket.socket(fileno=descriptor)
    server = await asyncio.start_server(_speak, sock=listening)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))
