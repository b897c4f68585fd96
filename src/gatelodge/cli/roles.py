"""The commands for roles."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelodge.audit import COMMAND
from gatelodge.cli.call import Call, plain, with_usual_options
from gatelodge.cli.progress import clear_line, show_line

if TYPE_CHECKING:  # see `call.py`
    from collections.abc import Callable, Coroutine

    from gatelodge.accounts.store import Role
    from gatelodge.foundation import Foundation

app = typer.Typer(help="Make roles, and change what they permit.", no_args_is_help=True)

RoleName = Annotated[str, typer.Argument(help="The name of the role.")]
Permission = Annotated[str, typer.Argument(help="A permission, such as users:read.")]
Description = Annotated[str, typer.Argument(help="One line for people.")]


_COLUMNS = {"name": "Role", "description": "Description", "permissions": "Permissions"}


@app.command("list")
@with_usual_options
def role_list(call: Call) -> None:
    """List roles, sorted by name."""
    roles = call.in_house(lambda house: house.roles.list_roles())
    call.say_table([_role_as_json(role) for role in roles], _COLUMNS)


@app.command("show")
@with_usual_options
def role_show(call: Call, role: RoleName) -> None:
    """Show one role."""
    shown = _role_as_json(call.in_house(lambda house: house.roles.get(role)))
    lines = [f"{name:<12} {plain(value)}" for name, value in shown.items()]
    call.say(shown, "\n".join(lines))


@app.command("create")
@with_usual_options
def role_create(
    call: Call,
    role: RoleName,
    description: Annotated[str, typer.Option(help="One line for people.")] = "",
    permission: Annotated[
        list[str] | None,
        typer.Option(metavar="PERMISSION", help="A permission of the role; may be repeated."),
    ] = None,
) -> None:
    """Make a role. Nobody holds it yet."""
    made = call.in_house(
        lambda house: house.roles.create(role, description, permission or (), COMMAND)
    )
    call.say(_role_as_json(made), f"Created {made.name}: {plain(_permissions(made) or 'nothing')}.")


@app.command("describe")
@with_usual_options
def role_describe(call: Call, role: RoleName, description: Description) -> None:
    """Change the description of a role."""
    _change(
        call,
        role,
        lambda house: house.roles.describe(role, description, COMMAND),
        done="has a new description",
        undone="had this description already",
    )


@app.command("permit")
@with_usual_options
def role_permit(call: Call, role: RoleName, permission: Permission) -> None:
    """Give a permission to a role. Takes effect on the next request of its holders."""
    _change(
        call,
        role,
        lambda house: house.roles.permit(role, permission, COMMAND),
        done=f"now permits {permission}",
        undone=f"permitted {permission} already",
    )


@app.command("forbid")
@with_usual_options
def role_forbid(call: Call, role: RoleName, permission: Permission) -> None:
    """Take a permission from a role. Takes effect on the next request of its holders."""
    _change(
        call,
        role,
        lambda house: house.roles.forbid(role, permission, COMMAND),
        done=f"no longer permits {permission}",
        undone=f"did not permit {permission}",
    )


@app.command("delete")
@with_usual_options
def role_delete(
    call: Call,
    role: RoleName,
    take_from_all: Annotated[
        bool, typer.Option("--take-from-all", help="Take the role from everybody who holds it.")
    ] = False,
) -> None:
    """Delete a role for ever. Takes effect on the next request of its holders."""

    async def work(house: "Foundation") -> int:
        if take_from_all:
            return await house.roles.delete_and_take(role, COMMAND, _show_progress)
        await house.roles.delete(role, COMMAND)
        return 0

    taken = call.in_house(work)
    clear_line()
    users = "1 user" if taken == 1 else f"{taken:,} users"
    sentence = f"{role} is deleted; it was taken from {users}." if taken else f"{role} is deleted."
    call.say({"deleted": role, "taken_from": taken}, sentence)


def _change(
    call: Call,
    name: str,
    make: "Callable[[Foundation], Coroutine[Any, Any, bool]]",
    *,
    done: str,
    undone: str,
) -> None:
    """Change a role, and print `done` if something changed, else `undone`."""

    async def work(house: "Foundation") -> "tuple[Role, bool]":
        changed = await make(house)
        return await house.roles.get(name), changed

    role, changed = call.in_house(work)
    sentence = f"{name} {done if changed else undone}."
    call.say({"changed": changed, "role": _role_as_json(role)}, sentence)


def _show_progress(taken: int) -> None:
    """Print, on a terminal, how many users have lost the role so far."""
    show_line(f"Taken from {taken:,} users …")


def _permissions(role: "Role") -> list[str]:
    return sorted(role.permissions)


def _role_as_json(role: "Role") -> dict[str, Any]:
    return {
        "name": role.name,
        "description": role.description,
        "permissions": _permissions(role),
    }
