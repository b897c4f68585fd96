"""A real Postfix of the test's own. It asks for TLS and a password, and relays what it takes.

Root must start it: it gives its rights away to the user `postfix`, whom Debian's package makes.
What it reads and writes is in a folder of its own, except what the packages installed.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import pytest

from tests.support import run
from tests.support.certificates import certificate
from tests.support.mail_server import PASSWORD, USER
from tests.support.mongod import wait_until
from tests.support.run import free_port

VARIABLE = "GATELODGE_MTA"
NEEDED = "apt-get install postfix sasl2-bin libsasl2-modules"
READERS = ("ann@example.com", "jürgen@example.com", "ann@xn--bcher-kva.example")
"""Whom it knows; it answers 550 for others."""

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_SECONDS = 20.0
_HOST = "mail.test"

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = {host}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
mydestination =
alias_maps =
local_recipient_maps =
fast_flush_domains =

smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {key}, {certificate}
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = {host}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = permit_sasl_authenticated, reject

relay_domains = example.com, xn--bcher-kva.example
relay_recipient_maps = inline:{{ {readers} }}
relay_transport = smtp:[127.0.0.1]:{relay}
default_transport = error:nothing leaves this machine
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix       n - n - 0 cleanup
qmgr    unix       n - n 300 1 qmgr
tlsmgr  unix       - - n - 1 tlsmgr
rewrite unix       - - n - - trivial-rewrite
bounce  unix       - - n - 0 bounce
defer   unix       - - n - 0 bounce
trace   unix       - - n - 0 bounce
smtp    unix       - - n - - smtp
error   unix       - - n - - error
retry   unix       - - n - - error
anvil   unix       - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

_SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/passwords
mech_list: PLAIN LOGIN
"""


def require_postfix() -> None:
    """Skip the test unless it was asked for; then fail it where Postfix cannot be started."""
    if os.environ.get(VARIABLE) != "1":
        pytest.skip(f"`make mta` tests letters by Postfix, as root, after {NEEDED}")
    if os.geteuid() != 0:
        pytest.fail("only root can start Postfix")
    if _find("postfix") is None or _find("saslpasswd2") is None:
        pytest.fail(f"no Postfix: {NEEDED}")


class Postfix:
    """Postfix on a free port of 127.0.0.1.

    Attributes:
        port: where it listens.
        folder: where everything of it is; the user `postfix` can enter it, unlike `tmp_path`.
        certificate: the file of the certificate that it shows.
    """

    def __init__(self, relay: int) -> None:
        """Prepare a Postfix that relays to this port of 127.0.0.1."""
        self.port = free_port()
        self._kept = tempfile.TemporaryDirectory(prefix="gatelodge-postfix-")
        self.folder = Path(self._kept.name)
        self.folder.chmod(0o755)
        self.certificate, key = certificate(self.folder, "127.0.0.1")
        facts = {
            "folder": self.folder,
            "host": _HOST,
            "key": key,
            "certificate": self.certificate,
            "readers": ", ".join(f"{{{reader}=known}}" for reader in READERS),
            "relay": relay,
            "port": self.port,
        }
        for name in ("queue", "sasl"):
            (self.folder / name).mkdir()
        for name, text in (("main.cf", _MAIN), ("master.cf", _MASTER), ("sasl/smtpd.conf", _SASL)):
            (self.folder / name).write_text(text.format(**facts))
        self._add_user()
        _run("postfix", "-c", str(self.folder), "check")  # makes the other folders
        self._master: subprocess.Popen[bytes] | None = None

    def url(self, password: str = PASSWORD) -> str:
        """Return the address for `GATELODGE_SMTP_URL`."""
        return f"smtp://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}?starttls=on"

    @property
    def log(self) -> str:
        """What it wrote into its log."""
        return (self.folder / "log").read_text()

    def start(self) -> None:
        """Start it, and return when it listens."""
        parts = _run("postconf", "-d", "-h", "daemon_directory").strip()
        self._master = subprocess.Popen(
            [f"{parts}/master", "-c", self.folder], start_new_session=True
        )
        run.note(self._master.pid)
        wait_until(self._listens, f"Postfix did not start: {self.folder}/log", _SECONDS)

    def stop(self) -> None:
        """End it and its parts, which share a process group; return when nobody listens."""
        assert self._master is not None
        os.killpg(self._master.pid, signal.SIGTERM)
        self._master.wait(_SECONDS)
        run.forget(self._master.pid)
        self._master = None
        wait_until(lambda: not self._listens(), "a part of Postfix is left", _SECONDS)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, and remove its folder."""
        if self._master is not None:
            self.stop()
        self._kept.cleanup()

    def _add_user(self) -> None:
        passwords = self.folder / "passwords"
        _run("saslpasswd2", "-p", "-c", "-f", str(passwords), "-u", _HOST, USER, typed=PASSWORD)
        shutil.chown(passwords, "postfix")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _find(command: str) -> str | None:
    return shutil.which(command, path=_PATH)


def _run(command: str, *arguments: str, typed: str = "") -> str:
    """Run a command that succeeds, and return what it prints."""
    found = _find(command)
    assert found is not None, command
    done = subprocess.run(
        [found, *arguments], input=typed, capture_output=True, text=True, check=True
    )
    return done.stdout
