"""Access tokens: signing keys, issue, verify, JWKS."""
