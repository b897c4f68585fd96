"""The secrets that sign a webhook: one, and former ones while it is changed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gatelodge.clock import from_milliseconds, to_milliseconds
from gatelodge.master_key import MasterKey
from gatelodge.webhook_signature import new_secret

MAX_FORMER = 4
"""How many former secrets may sign too; each makes the header longer."""

_PURPOSE = "webhook-secrets"


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """The secrets of one webhook.

    Attributes:
        current: `whsec_…`.
        former: the former ones, the newest first, each with the instant until which it signs too.
    """

    current: str
    former: tuple[tuple[str, datetime], ...] = ()

    @classmethod
    def new(cls) -> "WebhookSecrets":
        """Return a new secret."""
        return cls(new_secret())

    @classmethod
    def unseal(cls, master_key: MasterKey, sealed: bytes | None, name: str) -> "WebhookSecrets":
        """Return the secrets that are stored for the webhook of this name.

        Raises:
            ConfigurationError: they were sealed with another master key.
        """
        text = master_key.unseal(_PURPOSE, sealed or b"", name.encode()).decode()
        current, *more = text.split(" ")
        former = zip(more[::2], more[1::2], strict=True)
        return cls(current, tuple((each, from_milliseconds(int(until))) for each, until in former))

    def seal(self, master_key: MasterKey, name: str) -> bytes:
        """Return the secrets as they are stored: the current one, then each former one and its end.

        They are one text in one column, so that a change of them is one write.
        """
        parts = [self.current]
        for secret, until in self.former:
            parts += [secret, str(to_milliseconds(until))]
        return master_key.seal(_PURPOSE, " ".join(parts).encode(), name.encode())

    def signing(self, now: datetime) -> list[str]:
        """Return the secrets that sign now, the current one first."""
        return [self.current, *(secret for secret, until in self.former if until > now)]

    def rotated(self, now: datetime, overlap: timedelta) -> "WebhookSecrets":
        """Return a new secret, and those until now as former ones.

        Args:
            now: the current time.
            overlap: how long they sign too, at most; 0: not at all.
        """
        latest = now + overlap
        every = [(self.current, latest), *((each, min(end, latest)) for each, end in self.former)]
        former = [each for each in every if each[1] > now]
        return WebhookSecrets(new_secret(), tuple(former[:MAX_FORMER]))
