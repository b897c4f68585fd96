"""HTML pages: the doors for pages, forms, templates, the theme, and the pages of refusals.

A room's `pages.py` adds its routes to a `PageDoor` (`door.py`). For each request the door asks
`web/admission.py` who makes it, and calls the route's function with a `Visit`. A posted form is
read into a `Form` (`forms.py`); if the service refuses it, the door shows the same form again,
with the reason beside the field. `html.py` renders a template from `templates/` in the reader's
language; `theme.py` computes the colours. `answers.py` turns every refusal into a page for a
browser, or into JSON for a program; `wording.py` has the sentences. `carried.py` brings a notice or
a refused form to the next page, in a sealed cookie; in `again.py`, a form waits on the server until
its sender has proved once more who they are. `hints.py` has the rules that the script checks
as one types, and `languages.py` the choice of a language. `static_files.py` serves the
stylesheet and the logo.

Above: the rooms with pages: `boards/`, `sessions/`, `sign_in/`, `me/`, `setup/`; and `app.py`.
Below: `web/`, for admission, cookies and the shell; `i18n.py`, for translations.
"""
