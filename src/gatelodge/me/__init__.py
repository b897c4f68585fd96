"""One's own account: who one is, where one is signed in, and its end."""
