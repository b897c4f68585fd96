"""Proving it: passwords and the pool that hashes them."""
