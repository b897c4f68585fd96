"""Subscriptions: applications are told what has happened, at least once, after it is durable.

A subscription names the events that somebody wants to hear of: a function of an application with
Gatelodge inside (`service.py`), or a web address (`webhooks.py`). The store writes a message for
each subscription together with the event itself, so that none is forgotten. Any process claims a
message for a while, tells the function or sends the webhook, and removes the message. If that
fails, or the process dies, the message comes again, after waits that grow up to a day. The port is
in `store.py`.

Above: `foundation.py`, which connects the services; `embedded/`, which has the functions; `cli/`,
which adds webhooks.
Below: `audit.py`, whose events are told; `webhook_signature.py`; the master key, which encrypts the
secrets of webhooks.
"""
