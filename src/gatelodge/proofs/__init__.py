"""Proofs by letter: forgotten passwords, addresses, invitations, and notices.

A door (`api.py`, `pages.py`) asks for a letter. Nobody is looked up then: the letter waits in the
queue of `letters/`, and when it is its turn, the service that it belongs to (its author) finds the
user and writes it, or drops it. So no answer tells whose address it was, and none takes longer.
`codes.py` makes the link and the code in it, and checks what the reader brings back: the link from
anywhere, the code in the browser that asked. `users.py` says whether the user is still as then.
What follows is decided by one write to the user's record, which needs the state in which the letter
was written.

Above: `sign_in/`, which has the addresses of new users verified; `app.py`, which adds the routes.
Below: `letters/`, `accounts/`, `credentials/`, `sessions/` for the records of the caller.
"""
