"""Health: whether this server is alive and ready, and its metrics.

`api.py` has three routes for the programs that run and watch the server. `/healthz` only says
that the process answers. `/readyz` asks the database, and says how current the change feed is.
`/metrics` gives the numbers of one worker in Prometheus' text format (`numbers.py`), to a scraper
that presents the token from the settings (`metrics.py`). Numbers are read when a scraper asks; no
request counts anything for them.

Above: `app.py`, which adds the routes.
Below: `stores/`, for the state of the database and the feed; `gate/` and `credentials/`, whose
numbers are shown; `web/`.
"""
