"""Subscriptions: an application is told what has happened, at least once, after it is durable.

A subscription names the events that a function of an application wants to hear of. The store
writes a message for each subscription together with the event itself, so that none is forgotten.
Any process of the application claims a message for a while, tells the function, and removes the
message. If the function fails, or its process dies, the message comes again, after waits that grow
up to a day. `service.py` does this; the port is in `store.py`.

Above: `foundation.py`, which connects the service; `fastapi/`, which has the functions.
Below: `audit.py`, whose events are told.
"""
