"""The notes in the database."""

from django.db import models


class Note(models.Model):
    """A note.

    Attributes:
        owner: the `uuid` of the user, which stays the same for ever.
        text: what it says.
    """

    id = models.BigAutoField(primary_key=True)
    owner = models.UUIDField(db_index=True)
    text = models.TextField()
