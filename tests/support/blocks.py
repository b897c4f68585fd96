"""Fenced blocks of a Markdown page: read, run in order, and compared with what the page shows.

- `shell` blocks run under bash and `python` blocks under this interpreter, all of a page in one
  session. A command that fails ends it, unless the page itself says `|| …`.
- A `text` block that follows one of them, with nothing but blank lines between, is what it
  prints; `…` stands for whatever is left out of one line.
- A `json` block there is the answer laid out for reading: values are compared, not spaces.
- A block whose first line is a comment with the path of a file here (`# src/…`) is quoted from
  that file: it does not run, and every line of it is there; `…` stands for lines left out.
- A page that needs a server set up otherwise begins with `<!-- settings: PROFILE=tutorial -->`.
- Nothing else runs here; `javascript` blocks run in a browser, in tests of their own.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

RUN = ("shell", "python")
SHOWN = ("text", "json")
LANGUAGES = frozenset((*RUN, *SHOWN, "console", "html", "javascript", "mermaid", "yaml"))

_FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTINGS = re.compile(r"^<!-- settings:(?P<settings>[^>]*)-->$", re.MULTILINE)
_QUOTED = re.compile(
    r"(?:#|<!--) (?P<file>(?:examples|src|tests)/\S+)(?: -->)?\n(?P<lines>.*)", re.DOTALL
)
_LEFT_OUT = re.compile(r"^…\n", re.MULTILINE)
_PAGE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        language: the word after the opening fence.
        text: what is between the fences.
        line: where it opens, counted from 1.
        follows_at_once: whether only blank lines are between it and the block before.
    """

    language: str
    text: str
    line: int
    follows_at_once: bool = False

    @property
    def quoted_from(self) -> str:
        """The path of the file that the block quotes, from the root of the repository; or ""."""
        match = _QUOTED.fullmatch(self.text)
        return match["file"] if match else ""

    def is_quoted_truly(self, source: str) -> bool:
        """Say whether the source has the block's lines, in their order."""
        match = _QUOTED.fullmatch(self.text)
        assert match is not None, "the block quotes no file"
        pieces = (re.escape(piece) for piece in _LEFT_OUT.split(match["lines"]))
        return re.search(r"^" + r"(?:.*\n)*?".join(pieces), source, re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Step:
    """A block that runs, and the block that shows what it prints, if one does."""

    block: Block
    shown: Block | None


def blocks_of(page: Path) -> list[Block]:
    """Return every fenced block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    end = 0
    for match in _FENCE.finditer(text):
        at_once = bool(blocks) and not text[end : match.start()].strip()
        line = text.count("\n", 0, match.start()) + 1
        blocks.append(Block(match["language"], match["text"], line, at_once))
        end = match.end()
    return blocks


def settings_of(page: Path) -> dict[str, str]:
    """Return the settings, by their names in Settings, that a page's server has beyond the rest."""
    match = _SETTINGS.search(page.read_text(encoding="utf-8"))
    pairs = [pair.partition("=") for pair in match["settings"].split()] if match else []
    return {name.lower(): value for name, _, value in pairs}


def steps_of(page: Path) -> list[Step]:
    """Return the blocks of a page that run, each with what it shall print."""
    followed = pairwise([*blocks_of(page), None])
    return [
        Step(block, after if after and _shows_output(after) else None)
        for block, after in followed
        if block and block.language in RUN and not block.quoted_from
    ]


def run_steps(
    steps: list[Step], replaced: Mapping[str, str], environment: Mapping[str, str], folder: Path
) -> list[str]:
    """Run the steps in one bash session, and return what each printed.

    Args:
        steps: as `steps_of` returns them.
        replaced: what a reader types, and what stands for it here.
        environment: of the session.
        folder: where it begins, and where its output is kept.
    """
    outputs = [folder / f"step-{number}.txt" for number in range(len(steps))]
    script = "\n".join(_script(steps, outputs))
    for typed, meant in replaced.items():
        script = script.replace(typed, meant)
    session = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PAGE_SECONDS,
        check=False,
    )
    printed = [output.read_text(encoding="utf-8") for output in outputs if output.exists()]
    assert session.returncode == 0, (
        f"the block at line {steps[max(0, len(printed) - 1)].block.line} failed with exit code "
        f"{session.returncode}:\n{printed[-1:]}{session.stderr}"
    )
    return printed


def is_shown(shown: Block, printed: str) -> bool:
    """Say whether a block shows what was printed."""
    if shown.language == "json":
        return _is_like(json.loads(shown.text), json.loads(printed))
    return _matches(_trimmed(shown.text), _trimmed(printed))


def _shows_output(block: Block) -> bool:
    return block.follows_at_once and block.language in SHOWN


def _script(steps: list[Step], outputs: list[Path]) -> Iterator[str]:
    for step, output in zip(steps, outputs, strict=True):
        yield f"{{\n{_command(step.block)}\n}} >{output} 2>&1"


def _command(block: Block) -> str:
    if block.language == "shell":
        return block.text
    return f"{sys.executable} - <<'END-OF-BLOCK'\n{block.text}\nEND-OF-BLOCK"


def _is_like(shown: object, value: object) -> bool:
    if isinstance(shown, dict) and isinstance(value, dict):
        return shown.keys() == value.keys() and all(
            _is_like(shown[key], value[key]) for key in shown
        )
    if isinstance(shown, list) and isinstance(value, list):
        return len(shown) == len(value) and all(map(_is_like, shown, value))
    if isinstance(shown, str) and isinstance(value, str):
        return _matches(shown, value)
    return shown == value


def _matches(shown: str, printed: str) -> bool:
    pattern = "[^\n]*".join(re.escape(piece) for piece in shown.split("…"))
    return re.fullmatch(pattern, printed) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
