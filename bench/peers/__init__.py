"""Other projects that do the same work. They have their own virtual environment."""
