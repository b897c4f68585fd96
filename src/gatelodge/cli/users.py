"""The commands for users."""

import secrets
import sys
from collections.abc import Callable, Coroutine
from getpass import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.audit import COMMAND
from gatelodge.cli.call import Call, limit_of, plain, with_usual_options
from gatelodge.cli.exports import After, File, Resume, WantedFormat, run_export
from gatelodge.clock import instant
from gatelodge.errors import ConfigurationError

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.accounts.store import User
    from gatelodge.credentials.factors import Factor
    from gatelodge.foundation import Foundation
    from gatelodge.proofs.invitations import Invitation
    from gatelodge.transfer.exports import Export, Format

app = typer.Typer(help="Make users, and change their roles and state.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="The username, in upper or lower case.")]
RoleName = Annotated[
    str, typer.Argument(help="The name of a role, such as user, moderator or admin.")
]


_COLUMNS = {
    "username": "Username",
    "email": "E-mail",
    "roles": "Roles",
    "created_at": "Created",
    "state": "State",
}


@app.command("create")
@with_usual_options
def user_create(
    call: Call,
    username: Annotated[str, typer.Argument(help="The name to sign in with.")],
    email: Annotated[str, typer.Argument(help="The e-mail address.")],
    role: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE", help="A role to grant; may be repeated. Default: user."),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Grant user and admin, besides what --role says.")
    ] = False,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help="Read the password from standard input instead of asking."
        ),
    ] = False,
    invite: Annotated[
        bool,
        typer.Option(
            "--invite", help="Send a letter in which the user sets the password, instead of asking."
        ),
    ] = False,
) -> None:
    """Make a user with any roles. --admin makes an administrator."""
    from gatelodge.accounts.service import NewUser  # noqa: PLC0415 - see `call.py`

    if invite and password_stdin:
        raise ConfigurationError("Use --password-stdin or --invite, not both.")
    roles = [*(["user", "admin"] if admin else []), *(role or [])]
    password = "" if invite else _read_password(password_stdin, option=_WAYS)
    wanted = NewUser(username.strip(), email.strip(), password, roles)

    def create(house: "Foundation") -> "Coroutine[Any, Any, User]":
        service = house.invitations if invite else house.accounts
        return service.create(wanted, COMMAND)

    user = call.in_house(create, makes=True)
    sentence = f"Created {user.username}: {', '.join(user.roles)}."
    letter = f" A letter to {user.email} is on its way." if invite else ""
    call.say(_user_as_json(user), sentence + letter)


_WAYS = "--password-stdin or --invite"


@app.command("invite")
@with_usual_options
def user_invite(
    call: Call,
    email: Annotated[str, typer.Argument(help="The e-mail address.")],
    role: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE", help="A role to grant; may be repeated. Default: user."),
    ] = None,
) -> None:
    """Send a letter whose reader makes an account with these roles. It is valid for 7 days."""
    made = call.in_house(lambda house: house.invitations.invite(email.strip(), role or [], COMMAND))
    sentence = f"An invitation to {made.email} is on its way: {', '.join(made.roles)}."
    call.say(_invitation_as_json(made), sentence)


@app.command("invitations")
@with_usual_options
def user_invitations(
    call: Call,
    limit: Annotated[
        int,
        typer.Option(parser=limit_of, metavar="<int>", help="The maximum number of invitations."),
    ] = 1000,
) -> None:
    """List the invitations that were not accepted yet."""
    found = call.in_house(lambda house: house.invitations.list_open(limit=limit))
    rows = [_invitation_as_json(each) for each in found]
    call.say_table(rows, {"email": "E-mail", "roles": "Roles", "by": "By", "expires_at": "Expires"})


@app.command("uninvite")
@with_usual_options
def user_uninvite(
    call: Call, email: Annotated[str, typer.Argument(help="The e-mail address.")]
) -> None:
    """Make the invitation of an address void."""
    address = email.strip()
    changed = call.in_house(lambda house: house.invitations.withdraw(address, COMMAND))
    state = "is no longer invited" if changed else "was not invited"
    call.say({"changed": changed, "email": address}, f"{plain(address)} {state}.")


@app.command("verify")
@with_usual_options
def user_verify(call: Call, username: Username) -> None:
    """Let the e-mail address of a user count as verified, without a letter."""
    _change(
        call,
        username,
        lambda house, user: house.accounts.verify_email(user, COMMAND),
        done="has a verified address",
        undone="had a verified address already",
    )


@app.command("list")
@with_usual_options
def user_list(
    call: Call,
    limit: Annotated[
        int,
        typer.Option(parser=limit_of, metavar="<int>", help="The maximum number of users."),
    ] = 1000,
) -> None:
    """List users, the oldest first."""
    users = call.in_house(lambda house: house.accounts.list_users(after=None, limit=limit))
    rows = [_user_as_json(user) for user in users]
    states = [{"state": "disabled" if user.disabled_at else "enabled"} for user in users]
    if call.as_json:
        call.say(rows, "")
    else:
        call.say_table([row | state for row, state in zip(rows, states, strict=True)], _COLUMNS)


@app.command("export")
@with_usual_options
def user_export(
    call: Call,
    file: File = None,
    format_: WantedFormat = "jsonl",
    after: After = None,
    resume: Resume = False,
    with_hashes: Annotated[
        bool, typer.Option("--with-hashes", help="Also the password hashes: they are secret.")
    ] = False,
) -> None:
    """Write all users, the oldest first, as JSON lines or CSV."""

    def make(house: "Foundation", format_: "Format") -> "Export[User]":
        from gatelodge.transfer.exports import export_of_users  # noqa: PLC0415 - see `call.py`

        return export_of_users(house.stores.users, format_, with_hashes=with_hashes)

    run_export(call, "users", make, file, format_=format_, after=after, resume=resume)


@app.command("show")
@with_usual_options
def user_show(call: Call, username: Username) -> None:
    """Show one user."""
    user = call.in_house(lambda house: house.accounts.get_by_username(username))
    shown = _user_as_json(user)
    lines = [f"{name:<17} {plain(value)}" for name, value in shown.items()]
    call.say(shown, "\n".join(lines))


@app.command("grant")
@with_usual_options
def user_grant(call: Call, username: Username, role: RoleName) -> None:
    """Give a role to a user. Takes effect on the user's next request."""
    _change(
        call,
        username,
        lambda house, user: house.accounts.grant(user, role, COMMAND),
        done=f"now holds {role}",
        undone=f"held {role} already",
    )


@app.command("revoke")
@with_usual_options
def user_revoke(call: Call, username: Username, role: RoleName) -> None:
    """Take a role from a user. Takes effect on the user's next request."""
    _change(
        call,
        username,
        lambda house, user: house.accounts.withdraw(user, role, COMMAND),
        done=f"no longer holds {role}",
        undone=f"did not hold {role}",
    )


@app.command("disable")
@with_usual_options
def user_disable(
    call: Call,
    username: Username,
    reason: Annotated[
        str, typer.Option(help="Why, for administrators: one line of at most 256 characters.")
    ] = "",
) -> None:
    """Disable a user and end every session. Takes effect on the user's next request."""
    _change(
        call,
        username,
        lambda house, user: house.accounts.disable(user, COMMAND, reason=reason),
        done="is disabled, and every session has ended",
        undone="was disabled already",
    )


@app.command("enable")
@with_usual_options
def user_enable(call: Call, username: Username) -> None:
    """Let a disabled user sign in again."""
    _change(
        call,
        username,
        lambda house, user: house.accounts.enable(user, COMMAND),
        done="may sign in again",
        undone="was not disabled",
    )


@app.command("password")
@with_usual_options
def user_password(
    call: Call,
    username: Username,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the password from standard input.")
    ] = False,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a password, and print it once.")
    ] = False,
) -> None:
    """Set a new password for a user, and end every session of theirs."""
    if stdin and generate:
        raise ConfigurationError("Use --stdin or --generate, not both.")
    made = secrets.token_urlsafe(_GENERATED_BYTES) if generate else None
    password = made or _read_password(stdin, option="--stdin or --generate")

    async def work(house: "Foundation") -> "User":
        user = await house.accounts.get_by_username(username)
        if not await house.accounts.set_password(user, password, COMMAND):
            raise NoSuchUser
        return user

    user = call.in_house(work)
    shown = {"user": _user_as_json(user)} | ({"password": made} if made else {})
    sentence = f"{user.username} has a new password, and every session has ended."
    call.say(shown, f"{sentence}\nThe password is: {made}" if made else sentence)


_GENERATED_BYTES = 15
"""Makes passwords of 20 characters, with 120 random bits."""


@app.command("require-new-password")
@with_usual_options
def user_require_new_password(call: Call, username: Username) -> None:
    """End every session of a user, who has to set a new password at the next sign-in."""
    _change(
        call,
        username,
        lambda house, user: house.accounts.require_new_password(user, COMMAND),
        done="has to set a new password, and every session has ended",
        undone="had to set a new password already",
    )


@app.command("factors")
@with_usual_options
def user_factors(call: Call, username: Username) -> None:
    """List a user's second factors, recovery codes and remembered browsers."""

    async def work(house: "Foundation") -> "tuple[User, list[dict[str, Any]]]":
        from gatelodge.credentials.factors import counting  # noqa: PLC0415 - see `call.py`

        user = await house.accounts.get_by_username(username)
        found = counting(user.factors, user.epoch, house.clock.now())
        return user, [_factor_as_json(each) for each in found]

    user, rows = call.in_house(work)
    if rows or call.as_json:
        call.say_table(rows, _FACTOR_COLUMNS)
    else:
        call.say(rows, f"{user.username} has no second factor.")


_FACTOR_COLUMNS = {
    "kind": "Kind",
    "name": "Name",
    "created_at": "Added",
    "last_used_at": "Last used",
    "left": "Codes left",
}


@app.command("reset-factors")
@with_usual_options
def user_reset_factors(call: Call, username: Username) -> None:
    """Remove all second factors of a user who has lost them, and end every session of theirs."""
    _change(
        call,
        username,
        lambda house, user: house.second_factors.reset(user.id, user.factors, COMMAND),
        done="has no second factor any more, and every session has ended",
        undone="had no second factor",
    )


@app.command("unlock")
@with_usual_options
def user_unlock(
    call: Call,
    username: Annotated[
        str | None, typer.Argument(help="The username, in upper or lower case.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Unlock a network address instead; IPv6: its /64 network.")
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Unlock every name and every address instead.")
    ] = False,
) -> None:
    """Unlock a user, or an address, that has to wait after too many failed tries."""
    if sum((username is not None, address is not None, everybody)) != 1:
        raise typer.BadParameter("Name one of USERNAME, --address and --all.")
    if username is not None:
        _change(
            call,
            username,
            lambda house, user: house.sign_in.forgive(user, COMMAND),
            done="may sign in again",
            undone="was not locked out",
        )
    elif address is not None:
        _unlock_address(call, address.strip())
    else:
        forgiven = call.in_house(lambda house: house.sign_in.forgive_everybody(COMMAND))
        done = f"Everybody may try again: {forgiven:,} counts are cleared."
        call.say({"forgiven": forgiven}, done if forgiven else "Nobody was counted.")


def _unlock_address(call: Call, address: str) -> None:
    from gatelodge.credentials.attempts import place_of  # noqa: PLC0415 - see `call.py`

    place = place_of(address)
    if not place:
        raise typer.BadParameter(
            "Write a network address that is not this machine's own, such as 192.0.2.7 or "
            "2001:db8::7.",
            param_hint="--address",
        )
    changed = call.in_house(lambda house: house.sign_in.forgive_address(address, COMMAND))
    state = "may try again" if changed else "was not counted"
    call.say({"changed": changed, "address": place}, f"{place} {state}.")


@app.command("sign-out")
@with_usual_options
def user_sign_out(call: Call, username: Username) -> None:
    """End every session of a user. Takes effect on the user's next request."""
    _change(
        call,
        username,
        lambda house, user: house.sessions.sign_out_everywhere(user.id, COMMAND),
        done="is signed out everywhere",
        undone="is gone",
    )


@app.command("delete")
@with_usual_options
def user_delete(call: Call, username: Username) -> None:
    """Delete a user for ever. The username and e-mail address become free."""

    async def work(house: "Foundation") -> "User":
        user = await house.accounts.get_by_username(username)
        await house.accounts.delete(user, COMMAND)
        return user

    user = call.in_house(work)
    call.say({"deleted": _user_as_json(user)}, f"{user.username} is deleted.")


def _change(
    call: Call,
    username: str,
    make: "Callable[[Foundation, User], Coroutine[Any, Any, bool]]",
    *,
    done: str,
    undone: str,
) -> None:
    """Change a user, and print `done` if something changed, else `undone`."""

    async def work(house: "Foundation") -> "tuple[User, bool]":
        user = await house.accounts.get_by_username(username)
        changed = await make(house, user)
        return await house.accounts.get_by_username(username), changed

    user, changed = call.in_house(work)
    sentence = f"{user.username} {done if changed else undone}."
    call.say({"changed": changed, "user": _user_as_json(user)}, sentence)


def _read_password(from_stdin: bool, *, option: str = "--password-stdin") -> str:
    """Return the password from standard input, or ask for it twice.

    Args:
        from_stdin: whether to read the first line of standard input.
        option: the option to use where there is no terminal, for the message.

    Raises:
        ConfigurationError: there is no terminal, or the two answers differ.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ConfigurationError(f"There is no terminal to ask for a password: use {option}.")
    password = getpass("Password: ")
    if getpass("Again: ") != password:
        raise ConfigurationError("The two passwords differ.")
    return password


def _invitation_as_json(invitation: "Invitation") -> dict[str, Any]:
    return {
        "email": invitation.email,
        "roles": list(invitation.roles),
        "by": invitation.by,
        "expires_at": instant(invitation.expires_at),
    }


def _factor_as_json(factor: "Factor") -> dict[str, Any]:
    return {
        "id": factor.id,
        "kind": factor.kind,
        "name": factor.name,
        "created_at": instant(factor.created_at),
        "last_used_at": instant(factor.last_used_at),
        "expires_at": instant(factor.expires_at),
        "left": len(factor.digests) if factor.kind == "recovery_codes" else None,
    }


def _user_as_json(user: "User") -> dict[str, Any]:
    from gatelodge.transfer.shapes import shape_of_user  # noqa: PLC0415 - see `call.py`

    return shape_of_user(user)
