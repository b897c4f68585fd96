"""The command that says what cannot work, or is unwise."""

import asyncio
import os
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from gatelodge.cli.call import Call, with_usual_options

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.doctor.findings import Finding, Level

_WITH_ERRORS = 1


@with_usual_options
def doctor(call: Call) -> None:
    """Say what cannot work, or is unwise, with these settings and this database."""
    findings = _examine(call)
    counts = Counter(each.level for each in findings)
    if call.as_json:
        call.say({"errors": counts["error"], "findings": [asdict(each) for each in findings]}, "")
    else:
        for each in findings:
            print(f"{each.level:<8} {each.message}\n{'':<8} {each.remedy}")
        print(_summary(counts))
    if counts["error"]:
        raise typer.Exit(_WITH_ERRORS)


def _examine(call: Call) -> "list[Finding]":
    from gatelodge import machine  # noqa: PLC0415 - see `call.py`
    from gatelodge.clock import SystemClock  # noqa: PLC0415 - see `call.py`
    from gatelodge.doctor import service  # noqa: PLC0415 - see `call.py`
    from gatelodge.doctor.findings import worst_first  # noqa: PLC0415 - see `call.py`
    from gatelodge.foundation import read_master_key  # noqa: PLC0415 - see `call.py`
    from gatelodge.logs import set_up_logs  # noqa: PLC0415 - see `call.py`
    from gatelodge.serving import raise_open_files_limit  # noqa: PLC0415 - see `call.py`
    from gatelodge.stores import open_stores  # noqa: PLC0415 - see `call.py`

    settings = call.settings()
    set_up_logs("error")
    in_database = service.examine_what_there_is(
        open_stores(settings.database_address),
        settings,
        lambda: read_master_key(settings, make=False),
        SystemClock(),
    )
    return worst_first(
        [
            *service.examine_settings(settings, os.environ),
            *service.examine_machine(settings, machine.read(), raise_open_files_limit()),
            *asyncio.run(in_database),
        ]
    )


def _summary(counts: "Counter[Level]") -> str:
    levels: tuple[Level, ...] = ("error", "warning", "note")
    told = [
        f"{number} {level}{'' if number == 1 else 's'}"
        for level in levels
        if (number := counts[level])
    ]
    return ", ".join(told) or "Nothing to complain about."
