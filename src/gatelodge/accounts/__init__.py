"""Accounts: the users, their names, and the roles that they hold.

`service.py` makes users, whether they sign up themselves or an operator creates them, and grants
roles, disables and deletes. A sign-up first passes the rules for names (`names.py`) and
passwords; then a taken name is refused, the password is hashed, the user is stored, and the event
is recorded. The database decides which of two sign-ups gets a name; the question before the hash
only saves work. Disabling a user raises the user's epoch: that ends all sessions of the user
without a write to any of them. `roles.py` makes, changes and deletes roles: what a user may do is
what the user's roles permit at that moment. `store.py` has the records (user, role) and their
ports. This room has no routes.

Above: `sessions/` and `sign_in/`, which read users; `setup/`, which makes the first
administrator; `me/` and `cli/`, whose doors and commands call the service; `stores/`, which
implements the ports.
Below: `credentials/`, which checks and hashes passwords; `audit.py`.
"""
