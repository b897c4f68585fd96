"""Answers for programs that check tokens: forward-auth, and the public keys."""
