"""Credentials: passwords, second factors, passkeys, the limits on guessing, one-time tokens.

A new password passes the rules (`passwords.py`, `blocklist.py`). A thread of `hashing_pool.py`
looks it up in the list of breached ones, and hashes it with argon2id. A password that a user
presents goes to `service.py`: the attempt guard (`attempts.py`) admits or refuses the try before
anything is hashed, the pool verifies the password, and the guard counts the outcome.

`factors.py` has the record of what users have besides a password, its port, and the changes that
may be made to it. `second_factors.py` checks codes: of authenticator apps (`totp.py`) and recovery
codes. `ceremonies.py` asks browsers for passkeys; `passkeys.py` says what they are asked and
verifies what they answer, with `attestation.py` and `strict_cbor.py`. `second_factor_policy.py`
says who must have a second factor, and `own_proof.py` whether a proof is new enough for a change.

`one_time_tokens.py` makes secrets that work once, such as those of links. `store.py` has the record
of failed tries and its port. This room has no routes and knows no user records.

Above: `accounts/`, `sign_in/` and `factors/`, which check passwords and second factors here;
`gate/`, which refuses whom the policy holds back; `setup/`, `proofs/` and `letters/`, which use
one-time tokens; `stores/`, which implements the ports.
Below: `audit.py`, which logs each try that the guard refuses; `breached/`, which has that list.
"""
