"""The commands for webhooks."""

from datetime import timedelta
from typing import Annotated

import typer

from gatelodge.audit import COMMAND
from gatelodge.cli.call import Call, duration_of, with_usual_options
from gatelodge.clock import instant

app = typer.Typer(help="Tell other applications what has happened.", no_args_is_help=True)

WebhookName = Annotated[str, typer.Argument(help="The name of the webhook.")]

_COLUMNS = {"name": "Webhook", "url": "Address", "events": "Events", "waiting": "Waiting"}


@app.command("add")
@with_usual_options
def webhook_add(
    call: Call,
    name: Annotated[str, typer.Argument(help="A short name for it, such as shop.")],
    url: Annotated[str, typer.Argument(help="Where it is sent: https://….")],
    event: Annotated[
        list[str],
        typer.Option(metavar="EVENT", help="An event to tell; may be repeated."),
    ],
) -> None:
    """Add a webhook, and print the secret that signs it. It is shown this once."""
    secret = call.in_house(lambda house: house.webhooks.add(name, url, event, COMMAND))
    call.say({"name": name, "secret": secret}, f"{name} is told. Its secret:\n  {secret}")


@app.command("list")
@with_usual_options
def webhook_list(call: Call) -> None:
    """List webhooks, sorted by name."""
    found = call.in_house(lambda house: house.webhooks.list_webhooks())
    rows = [
        {"name": each.name, "url": each.url, "events": list(each.events), "waiting": each.waiting}
        for each in found
    ]
    call.say_table(rows, _COLUMNS)


@app.command("test")
@with_usual_options
def webhook_test(call: Call, name: WebhookName) -> None:
    """Send a webhook.ping now, and say whether it was taken."""
    call.in_house(lambda house: house.webhooks.ping(name))
    call.say({"taken": name}, f"{name} took it.")


@app.command("rotate")
@with_usual_options
def webhook_rotate(
    call: Call,
    name: WebhookName,
    overlap: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="How long the former secret signs too: 30m, 24h, 7d."
        ),
    ] = "24h",
    now: Annotated[
        bool, typer.Option("--now", help="The former secret signs nothing any more.")
    ] = False,
) -> None:
    """Give a webhook a new secret, and print it. It is shown this once."""
    length = timedelta(0) if now else duration_of(overlap)
    secrets = call.in_house(lambda house: house.webhooks.rotate(name, length, COMMAND))
    until = instant(secrets.former[0][1]) if secrets.former else None
    said = {"name": name, "secret": secrets.current, "former_until": until}
    also = "The former one signs nothing any more."
    if until is not None:
        also = f"The former one signs too until {until}."
    call.say(said, f"{name} has a new secret:\n  {secrets.current}\n{also}")


@app.command("remove")
@with_usual_options
def webhook_remove(call: Call, name: WebhookName) -> None:
    """Remove a webhook, and what it was still to tell."""
    call.in_house(lambda house: house.webhooks.remove(name, COMMAND))
    call.say({"removed": name}, f"{name} is removed.")
