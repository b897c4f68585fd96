"""The console's pages of users, in a browser without JavaScript."""

from tests.support.people import new_user, sign_in_browser


async def test_smoke(client, house, reader):
    await sign_in_browser(client, house, "root", "admin")
    for p in (
        "/admin",
        "/admin/users",
        "/admin/users/new",
        "/admin/invitations",
        "/admin/invitations/new",
    ):
        page = await reader.open(p)
        print(p, page.path, page.status, page.heading, page.text[:300], len(page.response.content))
    bob = await new_user(house, "bob")
    page = await reader.open("/admin/users")
    print(page.text)
    for p in ("", "/roles", "/disable", "/end-sessions", "/reset-factors", "/delete"):
        page = await reader.open(f"/admin/users/{bob.id}{p}")
        print(p, page.path, page.status, page.heading, page.text)
    page = await reader.open(f"/admin/users/selected?act=disable&user={bob.id}&user=x")
    print(page.text)
    page = await reader.send("/admin/users/selected", act="disable", user=bob.id)
    print(page.text)
    page = await reader.open("/admin/users/usr_x")
    print(page.text)
