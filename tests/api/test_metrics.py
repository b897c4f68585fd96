"""A worker's numbers, for a scraper that presents the token."""

from pathlib import Path

import httpx
import pytest
from prometheus_client import CONTENT_TYPE_LATEST

from gatelodge.settings import Settings

TOKEN = "a-token-that-a-scraper-holds-0123"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with metrics."""
    return Settings(data_dir=tmp_path, metrics_token=TOKEN)


async def test_who_presents_the_token_gets_the_numbers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPE_LATEST
    assert "gatelodge_feed_trusted 1.0" in answer.text
    assert "process_resident_memory_bytes" in answer.text


@pytest.mark.parametrize("presented", [{}, {"Authorization": "Bearer another"}])
async def test_to_everybody_else_there_are_no_metrics(
    client: httpx.AsyncClient, presented: dict[str, str]
) -> None:
    answer = await client.get("/metrics", headers=presented)

    assert answer.status_code == 404
