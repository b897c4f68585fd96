"""The user's own account: who am I, what am I called, where am I signed in, and its end.

Every route here needs a caller who is signed in. `api.py` answers `/api/auth/me` with the user's
record, roles, permissions and session. `pages.py` shows the account page with the list of devices,
and signs out one device or all of them. Both change the name and, where it is allowed, the
username; both delete the account of whoever has lately proved who they are. Both doors read the
current records of the caller, not the gate's memory, and call the services of the rooms below; this
room has no service and no records.

Above: `app.py`, which adds the routes.
Below: `sessions/`, which lists and ends sessions; `accounts/`, which has the user and deletes it;
`pages/` and `web/`, which admit the request.
"""
