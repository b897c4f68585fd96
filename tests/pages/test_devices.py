"""The names of devices."""

import pytest

from gatelodge.sessions.devices import device_name

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "Firefox Linux"),
        (f"{WINDOWS}Chrome/130.0.0.0 Safari/537.36", "Chrome Windows"),
        (f"{WINDOWS}Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0", "Edge Windows"),
        (f"{WINDOWS}Chrome/130.0.0.0 Safari/537.36 OPR/115.0", "Opera Windows"),
        (f"{MAC}605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", "Safari macOS"),
        (f"{PHONE}(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", "Safari iPhone"),
        (f"{PHONE}(KHTML, like Gecko) CriOS/130.0 Mobile/15E148 Safari/604.1", "Chrome iPhone"),
        ("Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0", "Firefox Android"),
        ("curl/8.5.0", "curl "),
        ("python-httpx/0.28.1", "Python "),
        ("python-httpx2/2.16.2", "Python "),
        ("Something on Linux", "Linux "),
        ("", "Unknown device "),
        ("\x00\ud800" * 500, "Unknown device "),
    ],
)
def test_a_device_is_called_what_people_call_it(user_agent: str, name: str) -> None:
    assert " ".join(device_name(user_agent)) == name
