"""Credentials: password rules and hashes, passkeys, the limits on guessing, one-time tokens.

A new password passes the rules (`passwords.py`, `blocklist.py`). A thread of `hashing_pool.py`
looks it up in the list of breached ones, and hashes it with argon2id. A password that a user
presents goes to `service.py`: the attempt guard (`attempts.py`) admits or refuses the try before
anything is hashed, the pool verifies the password, and the guard counts the outcome.
`passkeys.py` says what browsers are asked for a passkey, and verifies their answers, with
`attestation.py` and `strict_cbor.py`. `one_time_tokens.py` makes the secrets of links; each works
once. `store.py` has the record of failed tries and its port. This room has no routes and knows no
user records.

Above: `accounts/` and `sign_in/`, which check, hash and verify passwords here; `setup/`, `proofs/`
and `letters/`, which use one-time tokens; `stores/`, which implements the ports.
Below: `audit.py`, which logs each try that the guard refuses; `breached/`, which has that list.
"""
