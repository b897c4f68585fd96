"""Routes for other programs that check tokens: forward-auth, and the public keys.

A reverse proxy (such as nginx) asks `/api/auth/verify` about each request that it receives. The
answer is 200 with the caller in headers, 401 or 403; if the proxy wants it, a browser is
redirected to the sign-in page instead. Programs that verify signatures themselves read
`/.well-known/jwks.json`. The usual forward-auth request does not reach this room:
`web/fast_door.py` answers it from the gate's memory, with the same bytes.

Above: `app.py`, which adds the routes.
Below: `web/`, which admits the request; `gate/`, which knows the caller; `tokens/`, which has the
keys.
"""
