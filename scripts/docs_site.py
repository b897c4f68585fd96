"""How MkDocs lays out the documentation's site; `mkdocs.yml` names this file as a hook.

The site has the folders of the repository: README.md is its first page, `docs/api.md` is at
`docs/api/`, and the pages beside README.md are there too. So a link between two files, such as
`../CHANGELOG.md`, leads to the same page in the repository and on the site, and MkDocs checks it.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parent.parent
DECISIONS = "docs/decisions"
BESIDE_DOCS = {
    "README.md": None,
    "CONTRIBUTING.md": None,
    "SECURITY.md": None,
    "CHANGELOG.md": None,
    "examples/django/README.md": None,
    "examples/flask/README.md": None,
    "examples/moving/README.md": None,
    "examples/notes/README.md": None,
    "examples/worker/README.md": None,
    "llms.txt": None,
    "LICENSE": "LICENSE.txt",  # a name that a web server knows the type of
    "src/gatelodge/pages/static/logo.svg": None,
}
"""What of the repository is on the site besides `docs/`, and where, if not at the same path."""

MERMAID = "assets/mermaid.min.js"
MERMAID_SHA256 = "74d7c46dabca328c2294733910a8aa1ed0c37451776e8d5295da38a2b758fb9b"
"""Of `dist/mermaid.min.js` in Mermaid's own release 11.16.0 (npm)."""


def on_config(config: MkDocsConfig) -> None:
    """Add every decision to the navigation, below their index."""
    pages = sorted(path.name for path in (ROOT / DECISIONS).glob("[0-9]*.md"))
    decisions = _entry(config.nav or [], "Decisions")
    decisions.extend(f"{DECISIONS}/{name}" for name in pages)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give each file the path on the site that it has in the repository."""
    docs = [file for file in files if file.src_dir == config.docs_dir]
    laid_out = [file for file in files if file.src_dir != config.docs_dir]  # of the theme
    laid_out += [_file(f"docs/{file.src_uri}", None, config) for file in docs]
    laid_out += [_file(path, target, config) for path, target in BESIDE_DOCS.items()]
    return Files(laid_out)


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Let pages with diagrams load Mermaid from this site; the theme would ask another host."""
    if 'class="mermaid"' not in output:
        return output
    script = f'<script src="{get_relative_url(MERMAID, page.url)}"></script>\n'
    return output.replace("</head>", f"{script}</head>", 1)


def on_post_build(config: MkDocsConfig) -> None:
    """Copy Mermaid into the site, from a package that carries the file as it was released."""
    package = find_spec("mermaidx")
    if package is None or package.origin is None:
        raise PluginError("mermaidx is not installed: see the dependency group `docs`.")
    script = Path(package.origin).with_name("assets").joinpath("mermaid.js").read_bytes()
    if hashlib.sha256(script).hexdigest() != MERMAID_SHA256:
        raise PluginError("mermaidx carries another Mermaid than the one that was checked.")
    (Path(config.site_dir) / MERMAID).write_bytes(script)


def _entry(nav: list[object], title: str) -> list[object]:
    """Return the list below a title of the navigation, wherever it stands."""
    for item in nav:
        for name, below in item.items() if isinstance(item, dict) else ():
            if isinstance(below, list):
                if name == title:
                    return below
                if found := _entry(below, title):
                    return found
    return []


def _file(path: str, target: str | None, config: MkDocsConfig) -> File:
    return File(path, str(ROOT), config.site_dir, config.use_directory_urls, dest_uri=target)
