"""Letters: what the server sends to its users by e-mail.

`writing.py` makes the subject, the text and the HTML of a letter from templates, in the reader's
language. A `Mail` (`mail.py`) is the finished letter. A `Post` (`post.py`) delivers it, once per
call, and says by its exceptions whether another try makes sense: `smtp.py` by an SMTP server,
`folder.py` into files during development.

Above: `stores/`, which keep letters until they are delivered; `sign_in/` and `me/`, which send
them.
Below: the settings, the catalogues in `i18n.py`, and `email_address.py`.
"""
