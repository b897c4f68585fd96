"""Where the server beside the application tells it what has happened."""

import asyncio
import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from gatelodge.client import read_webhook
from gatelodge.embedded.handlers import Handlers
from gatelodge.errors import Refusal
from gatelodge.web.refusals import BodyTooLarge, MethodNotAllowed
from gatelodge.web.responses import plain_answer
from gatelodge.web.shell import Receive, Scope, Send
from gatelodge.webhook_signature import Secrets, keys_of

WEBHOOK_PATH = "/gatelodge/webhook"

MAX_BODY = 64 * 1024


class WebhookRoute:
    """Takes webhooks, and tells the functions of the application.

    It answers 204 when every function was told. Otherwise the server sends the webhook again.
    """

    def __init__(self, secrets: Secrets, handlers: Handlers) -> None:
        """Check the secrets.

        Args:
            secrets: `whsec_…`, as `gatelodge webhook add` prints it, or several.
            handlers: the functions.

        Raises:
            ValueError: there is no secret, or one of them is none.
        """
        keys_of(secrets)
        self._secrets = secrets
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:  # nobody is there to be answered
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return _refused(MethodNotAllowed(), Allow="POST")
        try:
            what = read_webhook(self._secrets, request.headers, await _body_of(request))
        except Refusal as refusal:
            return _refused(refusal)
        events, functions = self._handlers.events, self._handlers.functions
        told = [functions[name](what) for name, wanted in events.items() if what.name in wanted]
        failures = [
            each
            for each in await asyncio.gather(*told, return_exceptions=True)
            if isinstance(each, BaseException)
        ]
        for failure in failures:
            logging.getLogger("gatelodge").warning(
                "message.failed",
                extra={"details": {"told": what.name, "id": what.id}},
                exc_info=failure,
            )
        return Response(status_code=500 if failures else 204)


async def _body_of(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        BodyTooLarge: it is longer than any webhook.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BodyTooLarge
    return bytes(body)


def _refused(refusal: Refusal, **more: str) -> Response:
    status, body, headers = plain_answer(refusal)
    return JSONResponse(body, status, headers | more)
