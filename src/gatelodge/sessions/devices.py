"""The name of the device that a session was opened from, for people."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from gatelodge.audit import MAX_TEXT
from gatelodge.i18n import Language
from gatelodge.marks import N_

UNKNOWN = "Unknown device"

# The first match counts, because browsers also name older browsers.
_PROGRAMS = (
    (r"\bEdg(?:e|A|iOS)?/", "Edge"),
    (r"\bOPR/|\bOPT/", "Opera"),
    (r"\bSamsungBrowser/", "Samsung Internet"),
    (r"\bVivaldi/", "Vivaldi"),
    (r"\b(?:Firefox|FxiOS)/", "Firefox"),
    (r"\b(?:HeadlessChrome|Chrome|CriOS|Chromium)/", "Chrome"),
    (r"\bVersion/\S.*\bSafari/", "Safari"),
    (r"^curl/", "curl"),
    (r"^Wget/", "Wget"),
    (r"^python-httpx2?/|^python-requests/|^Python", "Python"),
    (r"^axios/|^node|^undici", "Node.js"),
    (r"^okhttp/", "Android app"),
    (r"^PostmanRuntime/", "Postman"),
)

_SYSTEMS = (
    (r"\biPhone\b", "iPhone"),
    (r"\biPad\b", "iPad"),
    (r"\bAndroid\b", "Android"),
    (r"\bWindows\b", "Windows"),
    (r"\bCrOS\b", "ChromeOS"),
    (r"\bMac OS X\b|\bMacintosh\b", "macOS"),
    (r"\bLinux\b|\bX11\b", "Linux"),
)


DeviceKind: TypeAlias = Literal["computer", "phone", "program", "tablet"]

_KINDS: Mapping[str, DeviceKind] = {
    "Android": "phone",
    "Android app": "phone",
    "ChromeOS": "computer",
    "Linux": "computer",
    "Windows": "computer",
    "iPad": "tablet",
    "iPhone": "phone",
    "macOS": "computer",
    UNKNOWN: "computer",
}


def device_name(user_agent: str) -> tuple[str, str]:
    """Return the program and the operating system that a `User-Agent` header names.

    The system is empty if it is unknown, or if only one of the two is known. The names are a hint
    for people, because a client can send any header.
    """
    text = user_agent[:MAX_TEXT]
    program, system = _first(_PROGRAMS, text), _first(_SYSTEMS, text)
    return (program, system) if program else (system or UNKNOWN, "")


def device_label(user_agent: str, language: Language) -> str:
    """Return what people call the device that a `User-Agent` header names, in their language."""
    program, system = device_name(user_agent)
    name = language.text(N_("%(program)s on %(system)s"), program=program, system=system)
    return name if system else language.text(program)


def device_kind(user_agent: str) -> DeviceKind:
    """Return what kind of device a `User-Agent` header names, for its drawing."""
    program, system = device_name(user_agent)
    return _KINDS.get(system or program, "computer" if system else "program")


def _first(table: Sequence[tuple[str, str]], text: str) -> str:
    return next((name for pattern, name in table if re.search(pattern, text)), "")
