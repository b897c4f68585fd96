"""The user's own factors: authenticator apps, passkeys, recovery codes, remembered browsers.

Every route here needs a caller who is signed in. Whatever adds or removes a factor asks for a proof
of the last five minutes, and for two factors where the user has two. A new factor is stored only
when it has proved itself: by the first code of an app, or by the answer of an authenticator. The
session that added it is replaced by one of two factors, and the first factor brings ten recovery
codes. `service.py` decides, `api.py` and `pages.py` are the doors.

Above: `app.py`, which adds the routes.
Below: `credentials/`, which checks codes and passkeys, and has the records; `sign_in/`, which asks
for second factors and opens sessions.
"""
