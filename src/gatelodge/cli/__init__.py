"""The command line: `gatelodge serve`, and the commands for operators.

`main.py` has the program, its exit codes, and the commands `serve`, `migrate` and `openapi`;
`users.py`, `roles.py`, `keys.py`, `passwords.py`, `webhooks.py` and `letters.py` have the groups
`user`, `role`, `keys`, `passwords`, `webhook` and `letters`. A command gets a `Call` (`call.py`)
with the common options. It runs its work in an open `Foundation`, beside any server that uses the
same database, calls a service method, and prints one sentence or JSON. A refusal becomes a sentence
on standard error and an exit code. Slow imports are inside the commands, so that each command
starts fast.

Above: nothing; `gatelodge` on the shell starts `main`.
Below: `serving.py`, which runs the server; `foundation.py`, which connects the services; the
services of all rooms.
"""
