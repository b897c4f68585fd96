"""Print the lowest version of each library that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"([a-z0-9-]+)(?:\[[a-z,]+\])?>=([0-9.]+),<[0-9.]+")


def floors() -> dict[str, str]:
    """Return the lowest version of each library, by its name.

    Raises:
        ValueError: a requirement is not a floor and a ceiling, and nothing else.
    """
    found = {}
    for line in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]:
        match = REQUIREMENT.fullmatch(line)
        if match is None:
            raise ValueError(f"{line} has not one floor and one ceiling")
        found[match[1]] = match[2]
    return found


if __name__ == "__main__":
    for name, floor in floors().items():
        print(f"{name}=={floor}")
