"""Access tokens: the signing keys, and how tokens are issued and verified.

`access.py` issues a signed JWT for a user and a session, and verifies one: `jws.py` checks the
form, the header and the signature, then `claims.py` checks the claims. `keys.py` creates,
publishes, rotates and retires the Ed25519 signing keys; `key_ring.py` holds them in memory.
`jwk.py` reads and writes public keys as JWK. `store.py` has the record of a signing key and its
port. `pair.py` has what a client gets: an access token and a refresh token. This room does not
ask whether the user and the session of a token still exist; the gate does.

Above: `gate/` and `client/`, which verify tokens; `sessions/`, which issues them; `verify/`, which
publishes the public keys; `stores/`, which stores the signing keys.
Below: `master_key.py`, which encrypts private keys; `audit.py`; `strict_json.py`; `base64url.py`.
"""
