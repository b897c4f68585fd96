"""Transfer: the data as files. For now: a backup of an SQLite database, and its way back.

`service.py` decides what is written and what may be replaced. The adapter of the database makes
the copy and swaps the files (`stores.Copies`); MongoDB has its own tools for that. The secret key
is not part of a backup. On request, it is put into a file of its own beside it.

Above: `cli/`, for the commands `backup` and `restore`.
Below: `stores/`, `tokens/` and `master_key.py`, to see whether a key fits a backup.
"""
