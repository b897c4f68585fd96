"""Letters: what the server sends to its users by e-mail.

`writing.py` makes the subject, the text and the HTML of a letter from templates, in the reader's
language. A `Mail` (`mail.py`) is the finished letter. A `Post` (`post.py`) delivers it, once per
call, and says by its exceptions whether another try makes sense: `smtp.py` by an SMTP server,
`folder.py` into files during development.

`service.py` puts letters into the queue (the port is in `store.py`), and sends those that are due.

Above: `stores/`, which keep letters until they are delivered; `proofs/` and `sign_in/`, which
write them.
Below: `credentials/`, whose one-time tokens are in letters; the settings, the catalogues in
`i18n.py`, and `email_address.py`.
"""
