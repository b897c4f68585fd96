"""Every library that the server needs: declared, with a floor that has a reason.

A floor rises when a hole is published in it, and when `make test-lowest`, which runs the tests
with the lowest version of each library, shows that something does not work there.
"""

import re
import sys
from importlib.metadata import packages_distributions, version

import pytest

from scripts.lowest_versions import floors
from tests.test_house import imports_of, modules

RAN = "no published hole; the lowest version that `make test-lowest` ran with"
FLOORS = {
    "aiosmtplib": (
        "5.1.2",
        "GHSA-vxj7-4xrp-5vr4: plain text before STARTTLS is read as if it came after",
    ),
    "alembic": ("1.16", RAN),
    "anyio": ("4.10", RAN),
    "argon2-cffi": ("25.1", RAN),
    "babel": ("2.17", RAN),
    "bcrypt": ("5.0", "older ones cut a password after 72 bytes, and say nothing"),
    "cryptography": ("50", "CVE-2026-69247: an oracle for PKCS #7; CVE-2026-39892 and OpenSSL's"),
    "fastapi": ("0.160", RAN),
    "fido2": ("2.2.1", "older ones take no cryptography 50; and CVE-2026-40947, on Windows"),
    "granian": (
        "2.8",
        "older ones do not close after a length beside chunks (RFC 9112, 6.3); and CVE-2026-42544",
    ),
    "httpx2": ("2.16", RAN),
    "idna": ("3.18", "httpx2 asks for it; before 3.15, CVE-2026-45409: quadratic time"),
    "jinja2": ("3.1.6", "CVE-2025-27516: a template leaves its sandbox"),
    "markupsafe": ("3.0", RAN),
    "prometheus-client": ("0.23.1", "older ones write another version of the format than we name"),
    "publicsuffixlist": ("1.1.2.20261023", "an older one has an older list"),
    "pydantic": ("2.12", RAN),
    "pydantic-settings": (
        "2.16",
        "GHSA-4xgf-cpjx-pc3j: secrets are read through links; and python-dotenv's CVE-2026-28684",
    ),
    "pyjwt": ("2.13", "CVE-2026-48526: forged tokens; and four more, fixed together"),
    "pymongo": ("4.18.1", "CVE-2026-88029"),
    "pyotp": ("2.12", RAN),
    "rich": ("14", RAN),
    "segno": ("1.6.6", RAN),
    "sqlalchemy": ("2.0.44", RAN),
    "starlette": ("1.3.1", "CVE-2026-54283: forms without limits; CVE-2026-48710: paths by `Host`"),
    "typer": ("0.20", RAN),
    "typing-extensions": ("4.14.1", "the lowest that the lowest pydantic takes"),
}
ONLY_FOR_TYPES = {"_typeshed"}
OF_THE_APPLICATION = {"asgiref", "django", "flask", "pytest", "werkzeug"}
"""What a module is for: whoever imports the module has them."""


def imported() -> set[str]:
    """Return the library behind everything that the package imports."""
    tops = {name.partition(".")[0] for module in modules() for name in imports_of(module)}
    owners = packages_distributions()
    return {
        re.sub("[-_.]+", "-", owners[top][0]).lower()
        for top in tops
        - set(sys.stdlib_module_names)
        - ONLY_FOR_TYPES
        - OF_THE_APPLICATION
        - {"gatelodge"}
    }


def test_every_floor_has_a_reason() -> None:
    assert floors() == {name: floor for name, (floor, _) in FLOORS.items()}


def test_every_library_that_is_imported_is_declared_and_no_other() -> None:
    """One that only comes with another library could leave with its next version."""
    assert imported() == set(floors())


@pytest.mark.parametrize("name", FLOORS)
def test_what_is_installed_is_not_older_than_its_floor(name: str) -> None:
    """So that a run says something about the versions that users get."""
    floor = [int(part) for part in FLOORS[name][0].split(".")]
    assert [int(part) for part in version(name).split(".")[: len(floor)]] >= floor
