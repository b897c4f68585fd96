"""The form fields that several pages use."""

from gatelodge.marks import N_
from gatelodge.pages.forms import Field

NEXT = Field("next")
"""The address to redirect to afterwards."""

USERNAME = Field("username", missing=N_("Enter a username."), trimmed=True)
EMAIL = Field("email", missing=N_("Enter your e-mail address."), trimmed=True)
FOR_PASSWORD_MANAGERS = Field("username")
"""The hidden username in forms of a signed-in user: password managers save it."""

PASSWORD = Field("password", missing=N_("Enter your password."), secret=True)
NEW_PASSWORD = Field("password", missing=N_("Enter a password."), secret=True)
