"""The tutorial's content: all, user, mod, admin."""
