"""The HTTP client for requests that this project sends."""

import ssl
from collections.abc import Collection
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2


def new_client(
    *,
    verify: ssl.SSLContext | bool = True,
    trust_env: bool = True,
    direct: Collection[str] = (),
    transport: httpx2.AsyncBaseTransport | None = None,
) -> httpx2.AsyncClient:
    """Return a client that follows no redirect, keeps no cookie and unpacks nothing.

    It waits for ever: whoever uses it limits the time of an answer as a whole.

    Args:
        verify: whom to trust in TLS.
        trust_env: whether to use the proxies that the environment names.
        direct: the hosts that are reached without a proxy.
        transport: sends the requests in tests.
    """
    return httpx2.AsyncClient(
        headers={"Accept-Encoding": "identity"},  # unpacked, an answer could be of any length
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        timeout=None,
        verify=verify,
        trust_env=trust_env,
        mounts={f"all://{host}": None for host in direct},
        transport=transport,
    )
