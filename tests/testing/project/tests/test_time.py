"""What expires."""

from datetime import timedelta

import pytest

from gatelodge.testing import AsUser, GatelodgeFixture, Travel


def test_an_access_token_expires(as_user: AsUser, travel: Travel) -> None:
    ada = as_user()

    travel(minutes=9)
    assert ada.get("/me").is_success

    travel(minutes=2)
    answer = ada.get("/me")
    assert answer.status_code == 401
    assert answer.json()["detail"]["code"] == "token_expired"


def test_a_browser_renews_its_session_until_it_ends(as_user: AsUser, travel: Travel) -> None:
    browser = as_user(cookies=True)
    before = dict(browser.cookies)

    travel(days=13)
    assert browser.get("/me").is_success
    assert dict(browser.cookies) != before
    assert len(list(browser.cookies.jar)) == 2

    travel(days=15)
    assert browser.get("/me").status_code == 401


def test_people_sign_in_after_a_hundred_days(as_user: AsUser, travel: Travel) -> None:
    assert as_user().get("/me").is_success
    travel(days=100)
    assert as_user().get("/me").is_success


def test_a_proof_gets_old(as_user: AsUser, travel: Travel, gatelodge: GatelodgeFixture) -> None:
    admin = as_user(role="admin")
    travel(minutes=5)
    assert admin.post("/close").is_success

    travel(seconds=1)
    assert admin.post("/close").status_code == 401
    assert gatelodge.sign_in(admin).post("/close").is_success


def test_time_stands_still_and_never_goes_back(gatelodge: GatelodgeFixture) -> None:
    noon = gatelodge.now
    assert gatelodge.travel(hours=1) == noon + timedelta(hours=1) == gatelodge.now
    with pytest.raises(ValueError, match="only move forward"):
        gatelodge.travel(seconds=-1)


def test_who_burns_the_notices_has_signed_in_by_two_factors(as_user: AsUser) -> None:
    by_password = as_user("admin")
    by_both = as_user("admin", methods=("pwd", "otp", "mfa"))

    assert by_password.post("/burn").json()["detail"]["acr_values"] == "aal2"
    assert by_both.post("/burn").is_success
