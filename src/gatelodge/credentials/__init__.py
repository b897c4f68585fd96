"""Credentials: password rules, password hashes, the limits on guessing, and one-time tokens.

No door and no user lives here: the rooms above ask. A new password goes through the rules
(`passwords.py`, `blocklist.py`) and comes back as an argon2id hash, computed on the threads of
`hashing_pool.py`. A password that is presented goes through `service.py`: the attempt guard
(`attempts.py`) lets it in or refuses it before anything is hashed, then the pool verifies it,
then its outcome is counted. `one_time_tokens.py` has the secrets of links, each good once.
`methods.py` names the ways
of proving, as sessions keep them. `store.py` has the record of failed tries and its port.

Above: `accounts/` and `sign_in/`, which check, hash and verify passwords here; `setup/`, which
uses one-time tokens; `stores/`, which implements the ports.
Below: `audit.py`, which logs each try that the guard refuses.
"""
