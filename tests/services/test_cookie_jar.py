"""The cookies of one answer."""

from dataclasses import replace
from datetime import timedelta

from gatelodge.web.cookie_jar import Cookie, cookie_jar

A_MINUTE = timedelta(minutes=1)
FLAG = Cookie("flag", "old", A_MINUTE)


def values_in(scope: dict[str, object]) -> list[bytes]:
    return [header.partition(b";")[0] for _, header in cookie_jar(scope).headers]


def test_a_cookie_that_is_added_leaves_the_others() -> None:
    scope: dict[str, object] = {}
    cookie_jar(scope).add(FLAG)
    cookie_jar(scope).add(Cookie("other", "1", A_MINUTE))

    assert values_in(scope) == [b"flag=old", b"other=1"]


def test_of_two_cookies_with_one_name_and_scope_the_last_one_counts() -> None:
    """Whatever else of them differs: to a browser they are one cookie."""
    scope: dict[str, object] = {}
    for cookie in (FLAG, Cookie("other", "1", A_MINUTE), replace(FLAG, value="", life=timedelta())):
        cookie_jar(scope).add(cookie)

    assert values_in(scope) == [b"flag=", b"other=1"]


def test_cookies_of_one_name_and_other_scopes_are_others() -> None:
    scope: dict[str, object] = {}
    for cookie in (
        FLAG,
        replace(FLAG, value="of a path", path="/setup"),
        replace(FLAG, value="of a domain", domain="example.com"),
    ):
        cookie_jar(scope).add(cookie)

    assert values_in(scope) == [b"flag=old", b"flag=of a path", b"flag=of a domain"]


def test_a_jar_says_whether_the_answer_sets_cookies() -> None:
    scope: dict[str, object] = {}
    assert not cookie_jar(scope)
    cookie_jar(scope).add(FLAG)
    assert cookie_jar(scope)


def test_a_cookie_says_all_of_itself() -> None:
    everywhere = Cookie(
        "a", "b", A_MINUTE, path="/x", domain="example.com", same_site="strict", secure=True
    )

    assert everywhere.header == (
        b"a=b; Path=/x; Max-Age=60; HttpOnly; SameSite=Strict; Secure; Domain=example.com"
    )
    assert replace(FLAG, life=-A_MINUTE).header == (
        b"flag=old; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    )
