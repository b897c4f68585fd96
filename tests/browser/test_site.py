"""The documentation as a site: it builds strictly, its links lead somewhere, no host but ours."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import BrowserContext

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PARTS = (*PAGES, "LICENSE", "llms.txt", "mkdocs.yml")
LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
"""What a browser fetches without being asked, by element."""


@pytest.fixture(scope="module")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("documentation")
    built = _build(ROOT, folder)

    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def address(documentation: Path) -> Iterator[str]:
    """Return where the site is served for this module."""
    handler = partial(_QuietHandler, directory=str(documentation))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_every_page_of_the_repository_is_on_the_site(documentation: Path) -> None:
    pages = [Path(name) for name in PAGES]
    for folder in ("docs", "examples"):
        pages += [page.relative_to(ROOT) for page in (ROOT / folder).rglob("*.md")]

    assert [page for page in pages if not (documentation / _built_name(page)).is_file()] == []


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for folder in ("docs", "examples", "scripts", "src/gatelodge/pages/static"):
        shutil.copytree(ROOT / folder, copy / folder)
    for name in PARTS:
        shutil.copy(ROOT / name, copy / name)
    with (copy / "docs" / "errors.md").open("a") as page:
        page.write("\n[a](nowhere.md) [b](api.md#nowhere) [c](../README.md#nowhere) [d](/api.md)\n")

    built = _build(copy, tmp_path / "site")

    assert built.returncode != 0
    for target in ("nowhere.md", "api.md#nowhere", "README.md#nowhere", "/api.md"):
        assert re.search(rf"WARNING .*errors\.md.*{re.escape(target)}", built.stderr), built.stderr


def test_every_link_and_picture_of_the_site_leads_somewhere(documentation: Path) -> None:
    """The site as it was built, its navigation and raw HTML included."""
    pages = {page: _read(page) for page in documentation.rglob("*.html") if page.name != "404.html"}
    broken = [
        f"{page.relative_to(documentation)}: {link}"
        for page, read in pages.items()
        for link in read.links
        if not _leads_somewhere(documentation, page, link, pages)
    ]

    assert len(pages) > 30
    assert broken == []


def test_no_page_loads_anything_from_another_host(documentation: Path) -> None:
    foreign = [
        f"{page.name}: {loaded}"
        for page in documentation.rglob("*.html")
        for loaded in _read(page).loaded
        if urlsplit(loaded).netloc
    ]

    assert foreign == []


@pytest.mark.browser
def test_diagrams_are_drawn_and_search_finds_without_another_host(
    address: str, context: BrowserContext
) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    diagrams = (ROOT / "docs" / "architecture.md").read_text().count("```mermaid\n")

    page.goto(f"{address}docs/architecture/")
    page.wait_for_function(f"document.querySelectorAll('div.mermaid').length == {diagrams}")
    page.locator(".md-search__input").press_sequentially("sharding")  # search listens to keys
    page.click(".md-search-result__link[href*='guides/mongodb/']")
    page.wait_for_url("**/docs/guides/mongodb/**")

    assert diagrams > 0
    assert [url for url in asked if not url.startswith(address)] == []


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_the_pictures_of_the_readme_can_be_taken_again(tmp_path: Path) -> None:
    taken = subprocess.run(
        [sys.executable, "-m", "scripts.take_screenshots", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = {picture.name for picture in (ROOT / "docs" / "images").iterdir()}

    assert taken.returncode == 0, taken.stderr
    assert {picture.name for picture in tmp_path.iterdir()} == wanted
    assert all(picture.read_bytes()[8:12] == b"WEBP" for picture in tmp_path.iterdir())


class _Page(HTMLParser):
    """What a page links to and loads, and the names in it that links may lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        values = {name: value for name, value in attrs if value is not None}
        self.names |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if (attribute := LOADED.get(tag)) in values:
            self.loaded.append(values[str(attribute)])
            self.links.append(values[str(attribute)])


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
        """Say nothing."""


def _build(folder: Path, into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(into)],
        cwd=folder,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def _built_name(page: Path) -> Path:
    folder = page.parent if page.name == "README.md" else page.with_suffix("")
    return folder / "index.html"


def _read(page: Path) -> _Page:
    read = _Page()
    read.feed(page.read_text(encoding="utf-8"))
    return read


def _leads_somewhere(site: Path, page: Path, link: str, pages: dict[Path, _Page]) -> bool:
    if urlsplit(link).scheme:
        return True
    here = f"/{page.relative_to(site)}"
    path, anchor = urldefrag(urljoin(here, link))
    target = site / unquote(path).lstrip("/")
    if target.is_dir():
        target /= "index.html"
    found = target in pages or target.is_file()
    return found and (not anchor or unquote(anchor) in pages[target].names)
