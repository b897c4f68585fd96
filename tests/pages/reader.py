"""A visitor with a browser without JavaScript, who opens pages, fills in forms and reads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import httpx2

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PROBLEMS = ".//p[@class='problem']"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Page:
    """An answer that was a page.

    Attributes:
        response: the answer.
        tree: the parsed HTML. Parsing fails if the HTML is not valid.
    """

    response: httpx2.Response
    tree: Element = field(init=False)

    def __post_init__(self) -> None:
        """Parse and check the HTML."""
        assert self.response.headers["content-type"] == "text/html; charset=utf-8"
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        self.tree = parser.parse(self.response.text)
        assert_well_made(self.tree)

    @property
    def status(self) -> int:
        """The answer's status."""
        return self.response.status_code

    @property
    def path(self) -> str:
        """The path of the page."""
        return self.response.url.path

    @property
    def title(self) -> str:
        """The title in the browser's tab."""
        return text_of(self.one(".//title"))

    @property
    def heading(self) -> str:
        """The only heading of the first level."""
        return text_of(self.one(".//h1"))

    @property
    def text(self) -> str:
        """The text of the main part."""
        return text_of(self.one(".//main"))

    @property
    def notice(self) -> str:
        """The message that says what was done."""
        return " ".join(text_of(each) for each in self.tree.iterfind(".//*[@role='status']"))

    @property
    def alert(self) -> str:
        """All that is wrong: with the form as a whole, and beside its fields."""
        told = [*self.tree.iterfind(".//*[@role='alert']"), *self.tree.iterfind(PROBLEMS)]
        return " ".join(filter(None, map(text_of, told)))

    @property
    def links(self) -> list[str]:
        """The addresses of all links."""
        return [each.attrib["href"] for each in self.tree.iterfind(".//a[@href]")]

    def one(self, path: str) -> Element:
        """Return the only element with this path."""
        found = self.tree.findall(path)
        assert len(found) == 1, f"{len(found)} of {path}"
        return found[0]

    def form(self, action: str) -> dict[str, Any]:
        """Return what the form with this action sends as it is; a box is sent when it is ticked.

        Boxes of one name are a list.
        """
        forms = [each for each in self.tree.iterfind(".//form") if each.get("action") == action]
        assert forms, f"no form leads to {action}"
        sent: dict[str, Any] = {}
        for each in forms[0].iterfind(".//input[@name]"):
            name, value = each.attrib["name"], each.get("value", "")
            if each.get("type") != "checkbox":
                sent[name] = [*sent[name], value] if isinstance(sent.get(name), list) else value
            elif "checked" in each.attrib and "disabled" not in each.attrib:
                sent.setdefault(name, []).append(value)
        for each in forms[0].iterfind(".//select"):
            options = each.findall("option")
            (chosen, *_) = [one for one in options if "selected" in one.attrib] or options
            sent[each.attrib["name"]] = chosen.attrib["value"]
        return sent

    def boxes(self, name: str) -> dict[str, bool]:
        """Return which of the boxes of this name are ticked, by their values."""
        found = self.tree.iterfind(f".//input[@name='{name}']")
        boxes = [each for each in found if each.get("type") == "checkbox"]
        return {each.attrib["value"]: "checked" in each.attrib for each in boxes}

    def problem(self, name: str) -> str:
        """Return the message beside a field that says what is wrong, or an empty text."""
        field = self.one(f".//input[@id='{name}']")
        described = field.get("aria-describedby", "").split()
        if f"{name}-problem" not in described:
            assert field.get("aria-invalid") is None
            return ""
        assert field.get("aria-invalid") == "true"
        return text_of(self.one(f".//*[@id='{name}-problem']"))

    @property
    def focused(self) -> str | None:
        """The field that has the focus when the page opens."""
        found = [each.attrib["name"] for each in self.tree.iterfind(".//*[@autofocus]")]
        assert len(found) <= 1
        return found[0] if found else None


class Reader:
    """A browser without JavaScript."""

    def __init__(self, client: httpx2.AsyncClient, **headers: str) -> None:
        """Use this client and its cookies."""
        self.client = client
        self.headers = {"Accept": ACCEPT, "Accept-Language": "en-GB"} | headers

    async def ask(self, path: str) -> httpx2.Response:
        """Get a path. Return the answer, and follow no redirect."""
        return await self.client.get(path, headers=self.headers)

    async def open(self, path: str) -> Page:
        """Open a page, and follow redirects."""
        return await self._follow(await self.ask(path))

    async def post(self, path: str, fields: dict[str, Any]) -> httpx2.Response:
        """Post a form as a browser does. Return the answer, and follow no redirect."""
        origin = {"Origin": str(self.client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        return await self.client.post(path, data=fields, headers=self.headers | origin)

    async def send(self, path: str, **fields: Any) -> Page:
        """Post a form, follow the redirects, and return the page."""
        return await self._follow(await self.post(path, fields))

    async def fill_in(self, path: str, **fields: Any) -> Page:
        """Open a page, fill in its form, and post it."""
        page = await self.open(path)
        assert page.status == 200
        action = path.partition("?")[0]
        filled = page.form(action)
        assert set(fields) <= set(filled), "the page offers other fields"
        return await self.send(action, **filled | fields)

    async def sign_up(self, name: str, password: str = "correct horse battery") -> Page:
        """Sign up with this name."""
        return await self.fill_in(
            "/sign-up", username=name, email=f"{name}@example.com", password=password
        )

    async def _follow(self, response: httpx2.Response) -> Page:
        for _ in range(5):
            if response.status_code not in {302, 303}:
                return Page(response)
            response = await self.ask(response.headers["location"])
        raise AssertionError("the redirects do not end")


def text_of(element: Element) -> str:
    """Return the text of an element, with single spaces."""
    return re.sub(r"\s+", " ", "".join(_texts(element))).strip()


def _texts(element: Element) -> Iterator[str]:
    if element.tag in {"script", "style"}:
        return
    yield element.text or ""
    for child in element:
        yield from _texts(child)
        yield " " if child.tag in {"p", "li", "dt", "dd", "div"} else ""
        yield child.tail or ""


def assert_well_made(tree: Element) -> None:
    """Check what the parser does not check: ids, labels, references, language and title."""
    everything = list(tree.iter())
    ids = [each.attrib["id"] for each in everything if "id" in each.attrib]
    assert len(ids) == len(set(ids)), "two elements have one id"
    for each in everything:
        for attribute in ("for", "aria-describedby", "aria-labelledby", "data-reveals"):
            assert set(each.get(attribute, "").split()) <= set(ids), f"{attribute} leads nowhere"
        inline = [name for name in each.attrib if name == "style" or name.startswith("on")]
        assert inline == [], "a handler or style is inline"
        if each.tag == "a" and each.get("href", "").startswith("#"):
            assert each.attrib["href"][1:] in ids
    assert tree.get("lang")
    assert tree.findtext(".//title")
    assert len(tree.findall(".//h1")) == 1
    _assert_labelled(everything)


def _assert_labelled(everything: list[Any]) -> None:
    labels = [each for each in everything if each.tag == "label"]
    named = {each.attrib["for"] for each in labels if "for" in each.attrib}
    around = [field for each in labels for field in each.iterfind(".//input")]
    for each in everything:
        if each.tag == "input" and each.get("type") != "hidden" and "hidden" not in each.attrib:
            assert each in around or each.attrib["id"] in named, "a field has no label"
            is_box = each.get("type") == "checkbox"
            assert is_box or each.get("autocomplete"), "a field does not say what it is for"
        if each.tag == "img":
            assert "alt" in each.attrib
