"""`python -m gatelodge`: the program, where its folder is not in PATH."""

from gatelodge.cli.main import main

main()
