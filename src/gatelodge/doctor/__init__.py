"""The doctor: what cannot work, or is unwise, with these settings and this database.

Each check is one small function that returns findings; each finding has a remedy. Checks change
nothing. `settings.py` looks at the settings alone, `machine.py` at the computer and the files,
`database.py` at the database. `service.py` runs all of them.

Above: `cli/`, for the command `doctor`; `serving.py`, which prints the errors at the start.
Below: the settings, and `stores/`.
"""
