"""A worker that does jobs for whoever is signed in; it finds out by itself who that is.

Each line of the input is a job: {"id": 1, "token": "…", "do": "shout", "text": "hello"}.
Each line of the output says what became of it.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator

from gatelodge.client import IssuerUnavailable, NotSignedIn, SyncVerifier, User

NEEDS = {"shout": "user", "erase": "moderator"}
"""What can be done, and the role that it needs."""


def work(lines: Iterable[str], verifier: SyncVerifier) -> Iterator[dict[str, object]]:
    """Do each job, and yield its outcome."""
    for line in lines:
        job = json.loads(line)
        try:
            user = verifier.check(job["token"])
        except NotSignedIn as refusal:
            yield {"id": job["id"], "refused": refusal.code}
        except IssuerUnavailable:
            yield {"id": job["id"], "again": True}  # nobody knows yet: put it back
        else:
            yield {"id": job["id"], **outcome(job, user)}


def outcome(job: dict[str, str], user: User) -> dict[str, object]:
    """Do one job, if its user may."""
    if NEEDS[job["do"]] not in user.roles:
        return {"refused": "forbidden"}
    result = job["text"].upper() if job["do"] == "shout" else ""
    return {"for": user.subject, "result": result}


if __name__ == "__main__":
    # Without `freshness`, the server is asked for its public keys, and for nothing else.
    with SyncVerifier(os.environ["ISSUER"], freshness=None) as verifier:
        for done in work(sys.stdin, verifier):
            print(json.dumps(done), flush=True)
