"""Virtual authenticators: Chromium's own, which make and use passkeys as real ones do."""

from typing import Any

from tests.browser.visitors import Visitor


class Authenticator:
    """An authenticator that is part of a visitor's device.

    Attributes:
        id: its id in the session of the developer tools.
    """

    def __init__(self, visitor: Visitor, *, verifies: bool = True) -> None:
        """Plug it in.

        Args:
            visitor: whose tab it is for.
            verifies: whether it can verify its user, by a finger or a PIN.
        """
        self._tools = visitor.context.new_cdp_session(visitor.page)
        self._tools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "ctap2Version": "ctap2_1",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": verifies,
            "isUserVerified": verifies,
            "automaticPresenceSimulation": True,
        }
        made = self._tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self.id: str = made["authenticatorId"]

    @property
    def passkeys(self) -> list[dict[str, Any]]:
        """The passkeys in it."""
        passkeys: list[dict[str, Any]] = self._send("getCredentials")["credentials"]
        return passkeys

    def put(self, passkey: dict[str, Any], **changed: object) -> None:
        """Put a passkey into it in place of all others, such as a copy of an older state."""
        self._send("clearCredentials")
        self._send("addCredential", credential=passkey | changed)

    def answer(self, *, at_once: bool) -> None:
        """Let the user touch it at once when it is asked from now on, or never."""
        self._send("setAutomaticPresenceSimulation", enabled=at_once)

    def verify(self, *, right: bool) -> None:
        """Let the finger or PIN be right from now on, or wrong."""
        self._send("setUserVerified", isUserVerified=right)

    def _send(self, command: str, **options: object) -> dict[str, Any]:
        asked = {"authenticatorId": self.id} | options
        answer: dict[str, Any] = self._tools.send(f"WebAuthn.{command}", asked)
        return answer
