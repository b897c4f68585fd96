"""Sessions: one record for each sign-in, and the refresh tokens that keep it alive.

`service.py` opens a session for a user who was proven, trades refresh tokens, and ends sessions.
A refresh token is not stored: `refresh_tokens.py` computes it from the session, its generation
and a secret key. Each trade raises the generation with one conditional write, so that of many
callers exactly one wins; an old token that comes back after the grace period ends the session
(RFC 9700, section 4.14). `asgi.py` answers the usual refresh without FastAPI; `api.py` and
`pages.py` have the other routes, `tutorial.py` the words of the tutorial. `lookup.py` and
`renewal.py` implement the ports of `gate/` and `web/`. `store.py` has the record and its port.

Above: `sign_in/`, `setup/` and `me/`, which open, list and end sessions; `stores/`, which
implements the port.
Below: `accounts/`, for users; `tokens/`, for access tokens; `gate/`; `web/` and `pages/`, for the
routes.
"""
