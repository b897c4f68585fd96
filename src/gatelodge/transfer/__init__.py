"""Transfer: the data as files: a backup of an SQLite database and its way back, and exports.

`service.py` decides what is written and what may be replaced. The adapter of the database makes
the copy and swaps the files (`stores.Copies`); MongoDB has its own tools for that. The secret key
is not part of a backup. On request, it is put into a file of its own beside it. `exports.py` writes
users and events as JSON lines or CSV, from either database, a page at a time; `export_files.py`
puts that into a file, and goes on where it was cut short. `shapes.py` says what of a record is
shown, to commands as well.

Above: `cli/`, for the commands; `admin/`, for downloads.
Below: `stores/`, `tokens/` and `master_key.py`, to see whether a key fits a backup; `accounts/` and
`audit.py`, for the records.
"""
