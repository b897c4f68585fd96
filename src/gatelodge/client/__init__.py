"""Who is signed in, for applications beside Gatelodge: Flask, Django, workers, anything in Python.

`verifier.py` has the two classes that an application uses: `Verifier` for asyncio, and
`SyncVerifier` for threads, in `threads.py`. A token is checked with the issuer's public keys, by
the same code as in the server (`tokens/claims.py`). `key_set.py` fetches and keeps these keys.
`me.py` asks the server what is true now. `issuer.py` sends all requests, and cuts what is too long
or too slow. `flights.py` lets many callers wait for one answer. `memory.py` holds what was found
out. `webhooks.py` reads what the server tells. This room knows no store, no service and no web
framework.

Above: the application, and the rooms for one framework each.
Below: `tokens/`, which checks tokens; `user.py`, `recent.py`, `clock.py`, `hosts.py`.
"""

from gatelodge.client.refusals import InvalidWebhook, IssuerUnavailable
from gatelodge.client.threads import SyncVerifier
from gatelodge.client.verifier import Verifier
from gatelodge.client.webhooks import read_webhook
from gatelodge.errors import Refusal
from gatelodge.errors import Unauthenticated as NotSignedIn
from gatelodge.notification import Notification
from gatelodge.user import SUBJECT_NAMESPACE, User

__all__ = [
    "SUBJECT_NAMESPACE",
    "InvalidWebhook",
    "IssuerUnavailable",
    "NotSignedIn",
    "Notification",
    "Refusal",
    "SyncVerifier",
    "User",
    "Verifier",
    "read_webhook",
]
