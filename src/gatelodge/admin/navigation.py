"""The sections of the console, and which of them somebody may open."""

from collections.abc import Callable
from dataclasses import dataclass

from gatelodge.marks import N_


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the console.

    Attributes:
        path: the path of its first page. Whoever may open this page sees the section.
        text: what it is called.
        icon: its drawing in `icons.html`.
        key: the key that leads there after `g`.
    """

    path: str
    text: str
    icon: str
    key: str


SECTIONS = (
    Section("/admin/overview", N_("Overview"), "chart", "o"),
    Section("/admin/users", N_("Users"), "person", "u"),
    Section("/admin/invitations", N_("Invitations"), "invite", "i"),
    Section("/admin/roles", N_("Roles"), "shield", "r"),
    Section("/admin/sessions", N_("Sessions"), "computer", "s"),
    Section("/admin/events", N_("Events"), "list", "e"),
    Section("/admin/letters", N_("Letters"), "letter", "l"),
    Section("/admin/keys", N_("Keys"), "key", "k"),
    Section("/admin/settings", N_("Settings"), "gear", "t"),
)
"""All sections, in their order. A path without a route is a section that does not exist."""


def sections(may_open: Callable[[str], bool]) -> list[Section]:
    """Return the sections whose pages the reader may open.

    Args:
        may_open: says it of a path; the rules of the routes decide.
    """
    return [each for each in SECTIONS if may_open(each.path)]
