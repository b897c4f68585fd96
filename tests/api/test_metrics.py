"""The metrics that a scraper reads, and who does not get them."""

from pathlib import Path

import httpx2
import pytest
from prometheus_client import CONTENT_TYPE_LATEST

from gatelodge.errors import ConfigurationError
from gatelodge.settings import Settings, read_settings
from tests.support.settings import hashing_cheaply

TOKEN = "q7Rz-Qm8ZrTx0aWf"


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings with a token for scrapers."""
    return hashing_cheaply(Settings(data_dir=tmp_path, metrics_token=TOKEN), request)


async def test_a_scraper_with_the_token_reads_the_numbers(client: httpx2.AsyncClient) -> None:
    response = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert response.headers["content-type"] == CONTENT_TYPE_LATEST
    assert "process_resident_memory_bytes" in response.text
    assert "\ngatelodge_feed_trusted 1.0\n" in response.text


@pytest.mark.parametrize(
    "presented", ["", "Bearer", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}"]
)
async def test_nobody_reads_the_numbers_without_the_token(
    client: httpx2.AsyncClient, presented: str
) -> None:
    response = await client.get("/metrics", headers={"Authorization": presented})
    assert response.status_code in {400, 404}
    assert "gatelodge_" not in response.text


def test_a_token_that_could_be_guessed_is_refused_at_the_start() -> None:
    """The error is about the length, and does not show the token."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings(metrics_token=TOKEN[:15])
    assert str(caught.value).startswith(
        "metrics_token must have at least 16 characters. Make one with: python -c"
    )
    assert TOKEN[:15] not in str(caught.value)
    assert read_settings(metrics_token="").metrics_token.get_secret_value() == ""
    assert read_settings(metrics_token=TOKEN).metrics_token.get_secret_value() == TOKEN
