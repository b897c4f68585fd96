"""Administration: users, roles, sessions, events, letters and keys, for whoever may see to them.

`authority.py` decides how far an administrator reaches: permissions decide, never the name of a
role, but for `admin`, whose holders reach everybody. The services ask it before every act, read
pages of records through the ports of the rooms below, and call the same services as the commands.
`api.py` files are the JSON doors under `/api/admin/…`, `pages.py` files those of the console under
`/admin`. What changes who may do what, or deletes, needs a proof of at most 5 minutes.

Above: `app.py`, which adds the routes.
Below: `sessions/`, `proofs/`, `letters/`, `tokens/` and `accounts/`, whose services act; `stores/`,
through the ports of those rooms; `pages/` and `web/`, which admit the request.
"""
