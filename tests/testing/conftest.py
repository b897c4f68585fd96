"""The project beside this file runs in a pytest of its own."""

collect_ignore = ["project"]
