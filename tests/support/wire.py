"""Keep-alive connections that tell which worker they ended up at."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(slots=True)
class Connection:
    """One HTTP/1.1 connection that stays open.

    Attributes:
        worker: the process at its other end.
        body: what the last answer held.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    worker: int = 0
    body: bytes = b""

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def own_port(self) -> int:
        """The port at this end."""
        port: int = self.writer.get_extra_info("sockname")[1]
        return port

    async def get(self, path: str, headers: Mapping[str, str]) -> int:
        """Ask, and return the status; the answer is read to its end."""
        return await self.request("GET", path, headers)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], json_body: object = None
    ) -> int:
        """Ask, with JSON unless it is None, and return the status."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        content = b"" if json_body is None else json.dumps(json_body).encode()
        if content:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next(line for line in head if line.startswith("content-length:"))
        self.body = await self.reader.readexactly(int(length.partition(":")[2]))
        return int(head[0].split()[1])

    async def close(self) -> None:
        """Close it."""
        self.writer.close()
        await self.writer.wait_closed()


async def one_connection_to_each_worker(pid: int, port: int, workers: int) -> list[Connection]:
    """Open connections until every worker of a server has one, and keep one for each."""
    kept: dict[int, Connection] = {}
    for _ in range(200):
        connection = await Connection.open(port)
        await connection.get("/healthz", {})
        connection.worker = holder_of(connection, pid, port)
        if connection.worker in kept:
            await connection.close()
        else:
            kept[connection.worker] = connection
        if len(kept) == workers:
            return list(kept.values())
    raise AssertionError(f"200 connections reached only the workers {list(kept)}")


def holder_of(connection: Connection, pid: int, port: int) -> int:
    """Return the id of the process, among those a server started, that holds the other end."""
    inode = socket_inode(port, connection.own_port)
    for child in children_of(pid):
        if f"socket:[{inode}]" in open_files(child):
            return child
    raise AssertionError("no worker holds the connection")


def socket_inode(port: int, peer: int) -> str:
    """Return the inode of the socket at a local port whose peer is at another one."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *others = line.split()
        if (_port(local), _port(remote)) == (port, peer):
            return others[6]
    raise AssertionError("no such connection")


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [
        int(child)
        for children in Path(f"/proc/{pid}/task").glob("*/children")
        for child in children.read_text().split()
    ]


def open_files(pid: int) -> set[str]:
    """Return what the descriptors of a process point at."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(descriptor.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)
