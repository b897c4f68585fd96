"""The list of breached passwords: passwords that were stolen from other sites.

`gatelodge passwords import` reads lines of SHA-1 and count (`source.py`), sorts what it keeps in
runs that go to the disk (`runs.py`), and makes one file of them in the data folder (`service.py`).
`lookup.py` has the format of that file, and answers whether a password is in it. A server looks at
every new password, and notices a new file without a restart.

Above: `credentials/`, which refuses such passwords; `cli/`, for the commands; `doctor/`.
Below: `data_folder.py`.
"""
