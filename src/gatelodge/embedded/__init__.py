"""Says who makes a request to an application that has Gatelodge, whatever its framework is.

A `Source` (`source.py`) answers: the house in this process, from the memory of its gate
(`inside.py`), or a server beside it, by a `Verifier` (`beside.py`); `sources.py` makes the one that
was asked for. The `Doorman` (`doorman.py`) lies around the application. It tells the routes whom to
ask; and if only a refresh cookie was left, which the source has traded, it sets the new cookies.
`HouseRoutes` (`routes.py`) are the routes of the house among those of the application.
`handlers.py` keeps the functions that are told what has happened, and `webhook_route.py` takes it
from a server. `User.watch` (`watch.py`) ends what stays open when its user may not be there any
more.

Above: `fastapi/` and `asgi/`, which ask for users each in its own way.
"""
