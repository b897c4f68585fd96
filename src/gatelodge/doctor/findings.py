"""What a check finds."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]
"""`error`: it cannot work. `warning`: it is unwise. `note`: good to know."""

LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an operator should know.

    Attributes:
        level: how bad it is.
        code: the name of the finding, for programs.
        message: what is so, in one or two sentences.
        remedy: what to do about it, in one sentence.
    """

    level: Level
    code: str
    message: str
    remedy: str


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Return the findings, errors first; of one level, in the order in which they were found."""
    return sorted(findings, key=lambda each: LEVELS.index(each.level))
