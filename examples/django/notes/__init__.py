"""Notes: everybody who is signed in writes their own, and moderators may delete any."""
