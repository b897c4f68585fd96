"""The documentation is true: its commands run, its tables are those of the code."""

import ast
import fnmatch
import importlib
import os
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import httpx2
import pytest
from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typer.main import get_command

from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.admin.wording import SENTENCES
from gatelodge.app import DOORS, House
from gatelodge.audit import COMMAND
from gatelodge.cli import main as cli
from gatelodge.errors import Refusal
from gatelodge.logs import LIBRARY_WARNED
from gatelodge.methods import BY_PASSWORD
from gatelodge.settings import Settings
from gatelodge.web.responses import status_of
from tests.support import warm
from tests.support.access_table import (
    DISABLED,
    KINDS,
    NOBODY,
    OTHER_KIND,
    ROLES,
    SIGNED_OUT,
    AccessTable,
    declared_routes,
    parse_access_table,
    path_of_trial,
    render_access_table,
)
from tests.support.blocks import (
    LANGUAGES,
    Block,
    blocks_of,
    is_shown,
    run_steps,
    settings_of,
    steps_of,
)
from tests.support.mongod import with_database
from tests.support.server import GATELODGE, Server

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
BESIDE = [ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")]
PAGES = [README, *BESIDE, *sorted(DOCS.rglob("*.md"))]
PAGES_THAT_RUN = [page for page in PAGES if page != README and steps_of(page)]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _quotes(page: Path) -> list[Block]:
    return [block for block in blocks_of(page) if block.quoted_from]


# What runs


def test_the_walks_of_readme_and_quickstart_are_true_in_one_folder(tmp_path: Path) -> None:
    """A reader takes one after the other, beside the same server."""
    _assert_pages_are_true([README, DOCS / "quickstart.md"], tmp_path)


def test_the_walk_of_the_readme_is_true_on_mongodb(tmp_path: Path, mongodb_url: str) -> None:
    _assert_pages_are_true([README], tmp_path, database=_new_database(mongodb_url))


@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=_name)
def test_the_blocks_of_a_page_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    _assert_pages_are_true([page], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_is_of_a_language_that_has_a_rule(page: Path) -> None:
    """So that no block escapes the test by a name such as `sh` or `bash`."""
    assert [block for block in blocks_of(page) if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", [page for page in PAGES if _quotes(page)], ids=_name)
def test_what_a_page_quotes_from_the_source_is_there(page: Path) -> None:
    quotes = _quotes(page)
    false = [
        each.line for each in quotes if not each.is_quoted_truly(_text(ROOT / each.quoted_from))
    ]

    assert false == []


def test_a_page_that_quotes_what_is_not_there_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n# src/a.py\none\n…\nfour\n```\n"
        "```python\n# src/a.py\nfour\n…\none\n```\n"
        "```html\n<!-- src/a.html -->\none\nthree\n```\n"
    )

    assert [each.is_quoted_truly("zero\none\ntwo\nthree\nfour\n") for each in _quotes(page)] == [
        True,
        False,
        False,
    ]
    assert steps_of(page) == []


def test_a_page_that_shows_what_is_not_printed_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```shell\nA=7\necho $A-$RANDOM\n```\n\n```text\n7-…\n```\n"
        "```shell\necho $A\n```\n\n```text\n8\n```\n"
        '```python\nprint(\'{"a": 1, "b": 2}\')\n```\n\n```json\n{"a": 1}\n```\n',
    )
    steps = steps_of(page)

    printed = run_steps(steps, {}, os.environ, tmp_path)

    shown = [step.shown for step in steps]
    assert [each and is_shown(each, text) for each, text in zip(shown, printed, strict=True)] == [
        True,
        False,
        False,
    ]


def test_a_page_whose_command_fails_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```shell\nfalse\ntrue\n```\n")

    with pytest.raises(AssertionError, match="the block at line 1 failed with exit code 1"):
        run_steps(steps_of(page), {}, os.environ, tmp_path)


def _assert_pages_are_true(pages: list[Path], folder: Path, database: str = "") -> None:
    """Run the pages' blocks in order, against a server of their own."""
    steps = [(page, step) for page in pages for step in steps_of(page)]
    data_dir = str(folder / "gatelodge-data")  # where a reader would find it
    settings = {"data_dir": data_dir, "database": database} | settings_of(pages[0])
    with Server(folder, **settings) as server:
        replaced = {
            "http://localhost:8080": f"http://localhost:{server.port}",
            ".venv/bin/gatelodge": str(warm.program(GATELODGE)),
        }
        blocks = [step for _, step in steps]
        printed = run_steps(blocks, replaced, server.environment, folder)
    for (page, step), text in zip(steps, printed, strict=True):
        if step.shown and not is_shown(step.shown, text):
            pytest.fail(
                f"{_name(page)}, line {step.shown.line}, shows:\n{step.shown.text}\n"
                f"but this was printed:\n{text}"
            )


def _new_database(url: str) -> str:
    return with_database(url, f"docs_{uuid.uuid4().hex[:12]}")


# Settings


def test_every_setting_has_its_line_and_no_other_has_one() -> None:
    fields = Settings.model_fields

    assert list(_settings_table()) == [_variable(name) for name in fields]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_default_and_the_range_of_a_setting_are_true(name: str) -> None:
    field = Settings.model_fields[name]
    _, default, values, meaning = _settings_table()[_variable(name)]

    assert default == _as_typed(field.default)
    assert meaning
    if (expected := _range_of(field)) is not None:
        assert values == expected


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_page_names_a_setting_that_does_not_exist(page: Path) -> None:
    of_frameworks = {"GATELODGE_FRESHNESS", "GATELODGE_ISSUER"}  # Flask's and Django's own
    of_tests = {"GATELODGE_SCREENSHOTS", "GATELODGE_TEST_MONGODB_URL"}
    elsewhere = of_tests | of_frameworks
    known = {_variable(name) for name in Settings.model_fields} | elsewhere

    assert set(re.findall(r"\bGATELODGE_[A-Z][A-Z_]*[A-Z]", _text(page))) <= known


def _settings_table() -> dict[str, list[str]]:
    rows = _rows(DOCS / "settings.md")
    return {_bare(row[0]): row for row in rows if _bare(row[0]).startswith("GATELODGE_")}


def _variable(name: str) -> str:
    return f"GATELODGE_{name.upper()}"


def _as_typed(value: Any) -> str:
    """Return a value as an operator would write it, in code marks; a dash for nothing."""
    if value is None or value in ("", (), SecretStr("")):
        return "–"
    return f"`{_duration(value) if isinstance(value, timedelta) else value}`"


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _range_of(field: FieldInfo) -> str | None:
    """Return the range as the page writes it, or None where it is in words."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation) if value)
    least = [str(_as_typed(limit.ge)) for limit in field.metadata if isinstance(limit, Ge)]
    most = [str(_as_typed(limit.le)) for limit in field.metadata if isinstance(limit, Le)]
    if not least:
        return None
    return f"{least[0]} to {most[0]}" if most else f"{least[0]} or more"


# Routes


def test_the_table_of_who_may_call_is_the_one_the_routes_declare() -> None:
    assert render_access_table() in _text(DOCS / "api.md")


def test_the_table_of_who_may_call_can_be_read_back() -> None:
    table = parse_access_table(_text(DOCS / "api.md"))

    assert list(table) == [(route.method, route.path) for route in declared_routes()]
    assert table["GET", "/api/test/admin"]["moderator"] == 403


async def test_every_route_answers_each_kind_of_caller_as_the_table_says(
    house: House, client: httpx2.AsyncClient
) -> None:
    """The table is made from what the routes declare; this is what they do."""
    table = parse_access_table(_text(DOCS / "api.md"))
    users = {kind: await _user(house, kind, *ROLES[kind]) for kind in ROLES}
    answered: AccessTable = {}
    for method, path in table:
        answered[method, path] = {}
        for kind in KINDS:
            headers = await _headers_of(house, users, kind)
            body = {} if method in {"POST", "PATCH"} else None
            asked = path_of_trial(path)
            response = await client.request(method, asked, headers=headers, json=body)
            answered[method, path][kind] = response.status_code

    assert answered == table


async def _user(house: House, name: str, *roles: str) -> User:
    wanted = NewUser(f"the-{name}", f"{name}@example.com", "correct horse battery", roles)
    return await house.accounts.create(wanted, COMMAND)


async def _headers_of(house: House, users: dict[str, User], kind: str) -> dict[str, str]:
    """Return what a caller of this kind sends, in a session of its own."""
    if kind == NOBODY:
        return {}
    user = users.get(kind) or users["user"]
    if kind == DISABLED:
        user = await _user(house, uuid.uuid4().hex[:12])
    signed_in = await house.sessions.open(user, BY_PASSWORD, "bearer", COMMAND.origin)
    if kind == DISABLED:
        await house.accounts.disable(user, COMMAND)
    if kind == SIGNED_OUT:
        await house.sessions.sign_out(signed_in.session.id, COMMAND)
    tokens = signed_in.tokens
    token = tokens.refresh_token if kind == OTHER_KIND else tokens.access_token
    return {"Authorization": f"Bearer {token}"}


def test_every_route_has_its_section_and_no_other_has_one() -> None:
    sections = re.findall(r"^### `([A-Z]+ /\S*)`$", _text(DOCS / "api.md"), re.MULTILINE)

    assert sorted(sections) == sorted(f"{route.method} {route.path}" for route in declared_routes())


# Forward-auth

FORWARD_AUTH = DOCS / "guides" / "forward-auth.md"
KEPT_INSIDE = (
    *("/", "/healthz", "/readyz", "/metrics"),
    *("/api/docs", "/api/openapi.json", "/api/test/*", "/dev/*"),
    *("/admin", "/admin/*", "/api/admin/*"),
)
"""What a proxy that guards a site does not hand on to Gatelodge."""


@pytest.mark.parametrize("proxy", ["nginx", "Traefik", "Caddy"])
def test_each_proxy_hands_on_what_browsers_need_and_nothing_else(proxy: str) -> None:
    handed_on = _handed_on(proxy)
    paths = {route.path for door in DOORS for route in door.routes}

    assert {path for path in paths if handed_on(path)} == {
        path for path in paths if not any(fnmatch.fnmatch(path, kept) for kept in KEPT_INSIDE)
    }
    assert not any(handed_on(path) for path in ("/setups", "/accounts/a", "/.well-known/other"))


def test_nginx_says_in_every_place_where_a_request_came_from() -> None:
    """A `location` with a `proxy_set_header` of its own hands on what the client wrote else."""
    locations = re.findall(r"location .*?\n    }\n", _forward_auth_block("auth_request"), re.DOTALL)
    own = [each for each in locations if "proxy_set_header" in each]

    assert len(own) == 3
    line = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    assert all(each.count(line) == 1 for each in own)


def test_caddy_deletes_the_headers_before_it_asks_and_on_every_way() -> None:
    """In the site itself, whose `request_header` Caddy sorts before `handle`; see the guide."""
    before, _, handled = _forward_auth_block("forward_auth").partition("    handle ")

    deleted = re.findall(r"^    request_header -(\S+)$", before, re.MULTILINE)
    named = ["User", "Subject", "Actor", "Roles", "Time", "Methods"]
    assert deleted == [*(f"X-Auth-{name}" for name in named), "*_*", "*.*"]
    assert "request_header" not in handled


def _handed_on(proxy: str) -> Callable[[str], bool]:
    """Return what says whether a path is Gatelodge's, as this proxy would read the guide."""
    if proxy == "Caddy":
        found = re.search(r"@gatelodge path (.+)", _forward_auth_block("forward_auth"))
        assert found is not None
        patterns = found[1].split()
        return lambda path: any(fnmatch.fnmatchcase(path, each) for each in patterns)
    marker, pattern = {
        "nginx": ("auth_request", r"location ~ (\S+) {"),
        "Traefik": ("forwardAuth", r"PathRegexp\(`(.+?)`\)"),
    }[proxy]
    found = re.search(pattern, _forward_auth_block(marker))
    assert found is not None
    expression = re.compile(found[1])
    return lambda path: expression.search(path) is not None


def _forward_auth_block(marker: str) -> str:
    return next(block.text for block in blocks_of(FORWARD_AUTH) if marker in block.text)


# Refusals


def test_every_refusal_has_its_line_with_the_true_status() -> None:
    """`token_missing` has two: the boards keep the tutorial's status."""
    _load_refusals()
    rows = [row for row in _rows(DOCS / "errors.md") if len(row) == 4 and row[1].isdigit()]
    told = [(_bare(code), int(status)) for code, status, _, _ in rows]

    assert sorted(told) == sorted({(kind.code, status_of(kind)) for kind in _refusals(Refusal)})
    assert all(when and advice for _, _, when, advice in rows)


def _load_refusals() -> None:
    """Import every module that defines refusals, also those that no server needs."""
    for file in (ROOT / "src").rglob("refusals.py"):
        importlib.import_module(".".join(file.relative_to(ROOT / "src").with_suffix("").parts))


def _refusals(base: type[Refusal]) -> Iterator[type[Refusal]]:
    for kind in base.__subclasses__():
        if kind.code != Refusal.code:  # a kind of refusals is none itself
            yield kind
        yield from _refusals(kind)


# Events


def test_every_event_has_its_line_and_no_other_has_one() -> None:
    rows = [row for row in _rows(DOCS / "events.md") if len(row) == 3 and "." in _bare(row[0])]

    assert sorted(_bare(row[0]) for row in rows) == sorted(_events())
    assert all(what for _, what, _ in rows)


def test_the_console_has_a_sentence_about_every_event_that_is_kept() -> None:
    page = _text(DOCS / "events.md")
    kept = page[page.index("\n## In the log and the database") : page.index("\n## In the log only")]

    assert sorted(re.findall(r"^\| `([a-z_.]+)`", kept, re.MULTILINE)) == sorted(SENTENCES)


def _events() -> set[str]:
    """Return the names of what the source records or notes."""
    calls = (
        node
        for file in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(_text(file)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    )
    told = {"event", "note", "add", "require", "require_password", "_event", "_change_of", "_keep"}
    told |= {"warning", "exception"}
    return {LIBRARY_WARNED} | {
        text.value
        for call in calls
        for argument in call.args
        for text in _choices_of(argument)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in told
        and isinstance(text, ast.Constant)
        and re.fullmatch(r"[a-z_]+\.[a-z_]+", str(text.value))
    }


def _choices_of(argument: ast.expr) -> list[ast.expr]:
    """Return what an argument may be: both sides of `a if b else c`, else itself."""
    return [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]


# Commands


def test_every_command_has_its_section_and_no_other_has_one() -> None:
    assert sorted(_command_sections()) == sorted(_commands())


def test_every_option_and_argument_of_a_command_is_in_its_section_and_no_other_is() -> None:
    sections = _command_sections()
    for name, parameters in _commands().items():
        arguments = {each.name.upper() for each in parameters if each.param_type_name == "argument"}
        options = {each.opts[0] for each in parameters if each.param_type_name == "option"}
        first_line = sections[name].strip().splitlines()[0]

        assert set(re.findall(r"\b[A-Z]{3,}\b", first_line.strip("`"))) == arguments, name
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", sections[name])) >= options, name
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", sections[name])) <= options, name


def test_every_exit_code_has_its_line() -> None:
    codes = [int(row[0]) for row in _rows(DOCS / "commands.md") if row[0].isdigit()]

    assert codes == [0, 1, 2, cli.REFUSED, cli.NOT_CONFIGURED, cli.UNAVAILABLE]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_page_names_a_command_that_does_not_exist(page: Path) -> None:
    groups = {name.split()[0] for name in _commands() if " " in name}
    below = re.findall(rf"\bgatelodge ((?:{'|'.join(groups)}) [a-z][a-z-]*)", _code(page))
    first = re.findall(
        r"^(?:\$ )?(?:\.venv/bin/)?gatelodge ([a-z][a-z-]*)", _code(page), re.MULTILINE
    )

    assert set(below) | set(first) <= set(_commands()) | groups


def _commands() -> dict[str, list[Any]]:
    """Return the parameters of every command, by the words it is called with."""
    found: dict[str, list[Any]] = {}

    def walk(command: Any, *words: str) -> None:
        for name, below in getattr(command, "commands", {}).items():
            walk(below, *words, name)
        if not hasattr(command, "commands"):
            found[" ".join(words)] = command.params

    walk(get_command(cli.app))
    return found


def _command_sections() -> dict[str, str]:
    """Return the section of `docs/commands.md` on each command."""
    _, *sections = re.split(r"^## ", _text(DOCS / "commands.md"), flags=re.MULTILINE)
    split = dict(section.split("\n", 1) for section in sections)
    return {
        title.strip("`").removeprefix("gatelodge "): text
        for title, text in split.items()
        if title.startswith("`gatelodge ")
    }


def _code(page: Path) -> str:
    """Return a page's code, in blocks and in lines, one piece a line."""
    blocks = [block.text for block in blocks_of(page)]
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", _text(page))])


# Links and names


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_to_a_file_here_leads_somewhere(page: Path) -> None:
    broken = [target for target in _links(page) if not _resolves(page, target)]

    assert broken == []


def test_every_page_is_linked_from_the_index_of_its_folder() -> None:
    for index in (DOCS / "README.md", DOCS / "decisions" / "README.md"):
        linked = {_target(index, link) for link in _links(index)}
        pages = [page for page in PAGES if index.parent in page.parents and page != index]
        if index.parent == DOCS:
            pages = [page for page in pages if page.parent.name != "decisions"]

        assert [_name(page) for page in pages if page not in linked] == []


def test_the_summary_for_language_models_has_every_page_and_the_lines_of_the_readme() -> None:
    """Source of its form: https://llmstxt.org."""
    summary = ROOT / "llms.txt"
    linked = {_target(summary, link) for link in _links(summary)}
    pages = [page for page in PAGES if page.parent in (DOCS, DOCS / "guides")]
    pages += (ROOT / "examples").glob("*/README.md")
    code = re.search(r"```python\n(.*?)```", _text(summary), re.DOTALL)

    assert [page for page in pages if page not in linked and page != DOCS / "README.md"] == []
    assert [page for page in linked if not page.is_file()] == []
    assert code is not None
    assert code[1] in _text(ROOT / "README.md")


def test_every_page_that_the_code_points_to_exists() -> None:
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    named = {name for file in sources for name in re.findall(r"docs/[\w/.-]+\.md", _text(file))}

    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    """Paths of the machine it was written on, and the hosts packages were fetched from."""
    places = "|".join(("work", "root"))
    hosts = "|".join(("pypi", "pythonhosted", "npmjs", "registry", "artifactory", "nexus"))
    private = re.compile(rf"(?<![\w.*$}}])/(?:{places})/|https?://[\w.-]*(?:{hosts})[\w.-]*\.\w")

    assert [_name(file) for file in _files() if private.search(_text(file))] == []


def _links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", _text(page), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def _resolves(page: Path, link: str) -> bool:
    target, anchor = _target(page, link), link.partition("#")[2]
    if target.is_dir() and not anchor:
        return True
    return target.is_file() and (not anchor or anchor in _anchors(target))


def _target(page: Path, link: str) -> Path:
    path = link.partition("#")[0]
    return (page.parent / path).resolve() if path else page


def _anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def _files() -> Iterator[Path]:
    """Yield the files of the project: everything that `.gitignore` does not name."""
    ignored = [".git", *(line.rstrip("/") for line in _text(ROOT / ".gitignore").split())]
    for folder, folders, files in os.walk(ROOT):
        kept = [each for each in folders if not _is_ignored(Path(folder, each), ignored)]
        folders[:] = kept
        paths = (Path(folder, each) for each in files)
        yield from (path for path in paths if not _is_ignored(path, ignored))


def _is_ignored(path: Path, ignored: list[str]) -> bool:
    whole = f"/{path.relative_to(ROOT)}"
    return any(
        whole == rule if "/" in rule else fnmatch.fnmatch(path.name, rule) for rule in ignored
    )


# Reading pages


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _rows(page: Path) -> list[list[str]]:
    """Return the cells of every table row of a page, heads and rules included."""
    lines = [line for line in _text(page).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def _bare(cell: str) -> str:
    return cell.strip("`")
