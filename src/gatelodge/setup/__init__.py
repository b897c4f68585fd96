"""Setup: the link that makes the first administrator.

While there is no administrator, each start of the server prints a link with a new secret in its
terminal (`SetupService.invite`). Whoever opens the link within 30 minutes gets a form
(`pages.py`). The page moves the secret from the address to a cookie first. The posted form makes
the administrator and signs them in. The secret works once; `service.py` makes sure that two forms
at once do not make two administrators.

Above: `app.py`, which adds the routes; `serving.py`, which prints the link.
Below: `accounts/`, which makes the user; `credentials/`, for one-time tokens; `sessions/`, which
opens the session; `pages/`.
"""
