"""Sign-in: prove who somebody is, and open a session; also sign-up and a change of password.

A door (`api.py`, `pages.py`) passes a name and a password to `service.py`. The service finds the
user, or none, and has the password verified either way, so that an unknown name takes the same
time as a wrong password. The attempt guard refuses a name or address with too many failures; a
user whom we know, by a session or an address, has a separate limit, so that strangers cannot lock
them out. Unknown user, wrong password and disabled user get one and the same refusal.

Every way of signing in ends in `opening.py`. It opens a session, and the door delivers the tokens
in the body or in cookies; or, for a user who has a second factor, it stores a challenge
(`challenges.py`), and the same module opens the session when the challenge is answered.

`by_code.py` signs in those who read a letter, where the operator allows it; its codes are those of
`proofs/`. `by_passkey.py` signs in by a passkey, alone or as the answer to a challenge. Somebody
who is signed in may prove once more who they are, before a change that asks for it, by the same
three services; a new session takes the place of theirs. The doors of invitations are here too,
because whoever accepts one is signed in.

Above: `app.py`, which adds the routes; `factors/`, whose users get a session of two factors;
`cli/`, which unlocks users.
Below: `sessions/`, which opens the session; `accounts/`, which makes users; `credentials/`, which
verifies passwords, codes and passkeys, and counts failures; `web/` and `pages/`.
"""
