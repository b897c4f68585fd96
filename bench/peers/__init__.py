"""Other projects that do the same work; they live in a virtual environment of their own."""
