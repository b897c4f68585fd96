"""The scripts of `docs/guides/sessions.md` do in a browser what the guide says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.sites import Site
from tests.browser.waiting import until_the_access_token_is_over
from tests.support.blocks import blocks_of
from tests.support.people import PASSWORD
from tests.support.server import Server

pytestmark = pytest.mark.browser

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "sessions.md"

ACCESS_SECONDS = 2

SIGN_UP = """async () => {
  const ann = {username: "ann", email: "ann@example.com", password: "%s"};
  return (await post("/api/auth/signup", ann)).status;
}"""

ASK_FIVE_TIMES = """async () => {
  const paths = Array(5).fill("/api/test/user");
  const answers = await Promise.all(paths.map(path => asker(path)));
  return Promise.all(answers.map(answer => answer.text()));
}"""


@pytest.fixture
def page(context: BrowserContext, tmp_path: Path) -> Iterator[Page]:
    """Return a page of an app with the guide's scripts. Ann has an account."""
    with (
        Site() as site,
        Server(
            tmp_path, access_token_life=f"{ACCESS_SECONDS}s", cors_origins=site.by_name
        ) as server,
    ):
        page = context.new_page()
        page.goto(site.by_name)
        for block in blocks_of(GUIDE):
            if block.language == "javascript":
                lodge = f"http://localhost:{server.port}"
                page.add_script_tag(content=block.text.replace("http://localhost:8080", lodge))
        assert page.evaluate(SIGN_UP % PASSWORD) == 200
        yield page


def test_an_app_by_cookies_stays_signed_in(page: Page) -> None:
    """The app needs no code for that. It stays signed in until it signs out."""
    page.evaluate("password => signIn('ann', password)", PASSWORD)
    page.evaluate("() => { window.asker = ask; }")
    for _ in range(2):
        assert page.evaluate(ASK_FIVE_TIMES) == ["User Content."] * 5
        until_the_access_token_is_over(page)
    page.evaluate("signOut()")
    assert "No token provided!" in page.evaluate(ASK_FIVE_TIMES)[0]


def test_an_app_by_bearer_tokens_trades_once_for_all(page: Page) -> None:
    """Five requests find the access token expired. All of them wait for one trade."""
    trades: list[str] = []
    page.on("request", lambda request: trades.append(request.method + request.url))
    page.evaluate(
        """async password => {
          const client = new BearerClient();
          await client.signIn("ann", password);
          window.asker = path => client.fetch(path);
        }""",
        PASSWORD,
    )
    page.wait_for_timeout(ACCESS_SECONDS * 1000 + 1)
    assert page.evaluate(ASK_FIVE_TIMES) == ["User Content."] * 5
    assert len([each for each in trades if each.startswith("POST") and "refresh" in each]) == 1
