"""Who exists: users, their names, their roles."""
