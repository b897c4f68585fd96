"""Say what a wheel lacks of the package, or has too much: python scripts/check_wheel.py WHEEL."""

import sys
from fnmatch import fnmatch
from pathlib import Path
from zipfile import ZipFile

SOURCE = Path(__file__).parents[1] / "src"
NEEDED = (
    "gatelodge/__main__.py",
    "gatelodge/py.typed",
    "gatelodge/credentials/common_passwords.txt",
    "gatelodge/letters/templates/*.html",
    "gatelodge/letters/templates/*.txt",
    "gatelodge/locales/*/LC_MESSAGES/gatelodge.po",
    "gatelodge/pages/static/*.css",
    "gatelodge/pages/static/*.js",
    "gatelodge/pages/static/*.svg",
    "gatelodge/pages/static/swagger-ui/ORIGIN.txt",
    "gatelodge/pages/static/swagger-ui/swagger-ui-bundle.js",
    "gatelodge/pages/static/swagger-ui/swagger-ui.css",
    "gatelodge/pages/templates/*.html",
    "gatelodge/pages/templates/admin/*.html",
    "gatelodge/stores/sql/migrations/versions/*.py",
    "gatelodge-*.dist-info/entry_points.txt",
    "gatelodge-*.dist-info/licenses/LICENSE",
    "gatelodge-*.dist-info/licenses/*common_passwords.txt.LICENSE",
    "gatelodge-*.dist-info/licenses/*swagger-ui/LICENSE",
    "gatelodge-*.dist-info/licenses/*swagger-ui/NOTICE",
    "gatelodge-*.dist-info/licenses/*swagger-ui/swagger-ui-bundle.js.LICENSE.txt",
)
"""What the server cannot do without, so that a folder that moved is missed here too."""


def faults(wheel: Path) -> list[str]:
    """Return a sentence for each file that is missing, or that has no business in the wheel."""
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
    package = {name for name in held if not name.partition("/")[0].endswith(".dist-info")}
    source = {
        str(path.relative_to(SOURCE))
        for path in (SOURCE / "gatelodge").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return [
        *(f"{name} is missing" for name in sorted(source - held)),
        *(f"{name} is not of the package" for name in sorted(package - source)),
        *(f"nothing is {one}" for one in NEEDED if not any(fnmatch(name, one) for name in held)),
    ]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) or f"{Path(sys.argv[1]).name} is whole.")
    sys.exit(bool(found))
