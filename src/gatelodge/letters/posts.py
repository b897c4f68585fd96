"""Which `Post` the settings choose."""

from gatelodge.data_folder import OUTBOX
from gatelodge.errors import ConfigurationError
from gatelodge.letters.folder import FolderPost
from gatelodge.letters.post import Post
from gatelodge.master_key import read_private_file
from gatelodge.settings import Settings
from gatelodge.smtp_address import SmtpAddress, read_smtp_address


def post_of(settings: Settings) -> Post | None:
    """Return the post for these settings, or None if letters are not delivered.

    It opens no connection, and starts no thread: a server may fork afterwards.

    Raises:
        ConfigurationError: the file with the address of the mail server cannot be used.
    """
    if settings.post == "none":
        return None
    if settings.post == "folder":
        return FolderPost(settings.data_dir / OUTBOX)
    from gatelodge.letters.smtp import SmtpPost  # noqa: PLC0415 - only servers with SMTP need it

    return SmtpPost(smtp_address_of(settings), settings.mail_host)


def smtp_address_of(settings: Settings) -> SmtpAddress:
    """Return the address of the mail server, from the setting or the file that it names.

    Raises:
        ConfigurationError: the file cannot be read, or holds no address of a mail server.
    """
    path = settings.smtp_url_file
    if path is None:
        return read_smtp_address(settings.smtp_url.get_secret_value())
    try:
        text = read_private_file(path, "GATELODGE_SMTP_URL_FILE")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The file {path}, which GATELODGE_SMTP_URL_FILE names, is unusable: {error}"
        ) from error
    try:
        return read_smtp_address(text)
    except ValueError as error:
        raise ConfigurationError(
            f"The address in {path}, which GATELODGE_SMTP_URL_FILE names, {error}"
        ) from None
