"""The logo of the pages."""

from dataclasses import dataclass
from pathlib import Path

from gatelodge.errors import ConfigurationError

LOGO_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
MAX_LOGO_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Logo:
    """A logo: the bytes of the image and its media type."""

    content: bytes
    media_type: str


def read_logo(path: Path | None) -> Logo | None:
    """Return the logo from a file, or None without a path.

    Raises:
        ConfigurationError: the file cannot be read, has an unknown type, or is larger than 32 KiB.
    """
    if path is None:
        return None
    media_type = LOGO_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise ConfigurationError(
            f"GATELODGE_LOGO: {path} must end in one of {', '.join(LOGO_TYPES)}."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"GATELODGE_LOGO: {path}: {error.strerror}.") from error
    if len(content) > MAX_LOGO_BYTES:
        raise ConfigurationError(
            f"GATELODGE_LOGO: {path} has {len(content)} bytes; the maximum is {MAX_LOGO_BYTES}."
        )
    return Logo(content, media_type)
