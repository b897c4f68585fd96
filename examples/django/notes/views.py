"""What the application answers."""

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_http_methods
from notes.models import Note

from gatelodge.django import current_user, require


@require_http_methods(["GET", "POST"])
@require()
def notes(request: HttpRequest) -> HttpResponse:
    """Return the notes of whoever asks, or add one."""
    owner = current_user(request).uuid
    if request.method == "POST":
        note = Note.objects.create(owner=owner, text=json.loads(request.body)["text"])
        return JsonResponse({"id": note.id, "text": note.text}, status=201)
    found = Note.objects.filter(owner=owner).values("id", "text")
    return JsonResponse(list(found), safe=False)


@require_http_methods(["DELETE"])
@require(role="moderator")
def note(_: HttpRequest, number: int) -> HttpResponse:
    """Delete anybody's note."""
    Note.objects.filter(id=number).delete()
    return HttpResponse(status=204)
