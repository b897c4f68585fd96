"""The gate: who makes this request, and may they? Answered from memory if possible.

A token goes to `gate.py`. `memory.py` remembers what verified tokens stand for: if it knows the
token, and nothing changed since, the answer needs no read and no check of a signature. Otherwise
`tokens/` verifies the token, the port `Lookup` (`lookup.py`) reads the session and the user with
their roles, and memory keeps the result. A rule (`rules.py`) names roles or permissions; it then
admits the principal or refuses. Before each answer, the change feed (`feed.py`) tells which users,
sessions, roles and keys changed, and memory numbers the changes; without a trustworthy feed, every
check reads the store. So a changed role or a sign-out takes effect on the next request (with
MongoDB, in other processes within a second).

Above: `web/` and `verify/`, which ask about every request; `sessions/`, which implements
`Lookup`; `stores/`, which implements the feed.
Below: `tokens/`, which verifies access tokens.
"""
