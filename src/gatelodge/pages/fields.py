"""The fields that several pages' forms have."""

from gatelodge.marks import N_
from gatelodge.pages.forms import Field

NEXT = Field("next")
"""Where to go afterwards."""

USERNAME = Field("username", missing=N_("Enter a username."))
EMAIL = Field("email", missing=N_("Enter your e-mail address."))
FOR_PASSWORD_MANAGERS = Field("username")
"""The name they keep a password under, in forms that know whose it is."""

PASSWORD = Field("password", missing=N_("Enter your password."), secret=True)
NEW_PASSWORD = Field("password", missing=N_("Enter a password."), secret=True)
