"""The boards of the tutorial: four texts, each for another group of callers.

`api.py` has the JSON door with the tutorial's paths (`/api/test/all`, `/user`, `/mod`, `/admin`).
It answers plain text, and 403 instead of 401 without a token, as the tutorial's clients expect.
`pages.py` has the start page and the same boards as HTML pages. A board is a constant text and a
rule; there are no records and no service. The usual request does not reach this room:
`web/fast_door.py` answers it from the gate's memory.

Above: `app.py`, which adds the routes and passes the texts to the fast door.
Below: `web/` and `pages/`, which admit the request; `gate/`, which has the rules.
"""
