"""The first table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Make the table of the notes."""

    initial = True
    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("owner", models.UUIDField(db_index=True)),
                ("text", models.TextField()),
            ],
        ),
    ]
