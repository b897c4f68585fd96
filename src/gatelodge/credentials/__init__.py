"""What proves who somebody is, and how often a proof may be tried.

No door and no user lives here: the rooms above ask. A new password goes through the rules
(`passwords.py`, `blocklist.py`) and comes back as an argon2id hash, computed on the threads of
`hashing_pool.py`. A password that is presented goes through `service.py`: the attempt guard
(`attempts.py`) lets it in or refuses it before anything is hashed, then the pool verifies it,
then its outcome is counted. `one_time_tokens.py` has the secrets of links, each good once.
`store.py` has the record of failed tries and its port.

Above: `accounts/` and `sign_in/`, which use `Passwords`; `setup/`, which uses one-time tokens.
Below: `audit.py`, which records every refusal of the guard.
"""
