"""The page of the settings in force."""

from collections.abc import Mapping

from starlette.responses import Response

from gatelodge.admin.doors import page
from gatelodge.admin.rules import READ_SETTINGS
from gatelodge.admin.settings import Origin, SettingsAdministration
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit

door = PageDoor()

ORIGINS: Mapping[Origin, str] = {
    "environment": N_("environment"),
    "command_line": N_("command line"),
    "argument": N_("argument of the program"),
    "file": N_("file"),
    "profile": N_("profile"),
    "default": N_("default"),
}


@door.get("/admin/settings", rule=READ_SETTINGS)
async def show_settings(visit: Visit) -> Response:
    """Show every setting in force: first those that somebody has set."""
    settings = visit.ask(SettingsAdministration).list_settings()
    return page(
        visit,
        "settings.html",
        chosen=[each for each in settings if each.origin != "default"],
        left=[each for each in settings if each.origin == "default"],
        origins=ORIGINS,
    )
