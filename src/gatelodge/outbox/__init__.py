"""The outbox of a server in development: what it would have sent by e-mail, as pages.

`pages.py` shows the letters that `letters/folder.py` has written into files. The room has no
routes where letters are sent, or where the public address is not one of this machine: `app.py`
leaves its door out there. The pages show links and codes, so they answer only requests that came
from this machine, and through no proxy (`web/proxies.py`).

Above: `app.py`, which adds the routes.
Below: `letters/`, which keeps the files; `pages/` and `web/`, which admit the request.
"""
