"""The JSON route of the settings in force."""

from typing import Annotated

from pydantic import Field

from gatelodge.admin.rules import READ_SETTINGS
from gatelodge.admin.settings import Origin, SettingsAdministration
from gatelodge.web.bodies import Answer
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door("/api/admin/settings", tag="admin")


class SettingSeen(Answer):
    """One setting."""

    name: str = Field(description="The name of its environment variable.")
    value: str | None = Field(
        default=None, description="What is in force; null: nothing, or it is hidden."
    )
    hidden: bool = Field(description="Whether there is a value that is not shown: a secret.")
    origin: Origin = Field(description="Where the value comes from.")
    default: str | None = None


class SettingsSeen(Answer):
    """All settings."""

    items: list[SettingSeen]


@door.get(
    "",
    rule=READ_SETTINGS,
    told=Description(
        "List the settings in force",
        gives={
            "items": [
                {
                    "name": "GATELODGE_WORKERS",
                    "value": "2",
                    "hidden": False,
                    "origin": "environment",
                    "default": "1",
                }
            ]
        },
    ),
)
async def settings_in_force(
    settings: Annotated[SettingsAdministration, Provided(SettingsAdministration)],
) -> SettingsSeen:
    """List every setting, its value and where that comes from.

    Secrets are not shown, and addresses are shown without the user names and passwords in them.
    """
    items = [
        SettingSeen(
            name=each.name,
            value=each.value,
            hidden=each.hidden,
            origin=each.origin,
            default=each.default,
        )
        for each in settings.list_settings()
    ]
    return SettingsSeen(items=items)
