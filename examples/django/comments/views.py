"""The API. All of it is JSON, and errors are text for people."""

import hashlib
import json
import secrets
import unicodedata
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from outbox.models import Job

from .models import Comment, Presence, Thread, change_id
from .refusal import Refusal

COOKIE = "visitor"
YEAR = 365 * 24 * 3600  # seconds
SHOWN = 100  # comments of a thread
LARGEST = 2**63 - 1  # number of an object
AWAY = timedelta(seconds=90)  # after its last sign a page counts as closed; timers of hidden pages run once a minute


@require_GET
def thread(request, number):
    found = get(Thread.objects, number)
    cookie = request.COOKIES.get(COOKIE) or secrets.token_urlsafe(24)
    comments = reversed(Comment.objects.filter(thread=found).order_by("-pk")[:SHOWN])
    response = JsonResponse(
        {
            "thread": found.pk,
            "forum": found.forum,
            "hosts": settings.PUSH_HOSTS,
            "channels": [f"thread:{found.pk}"],
            "readers": present(found).count(),
            "comments": [{**c.public(), "own": c.visitor == identity(cookie)} for c in comments],
        }
    )
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(COOKIE, cookie, max_age=YEAR, secure=request.is_secure(), httponly=True, samesite="Lax")
    return response


@require_POST
def comments(request, number):
    who, members = visitor(request), body(request)
    parent = members.get("parent")
    if parent is not None and type(parent) is not int:
        raise Refusal(400, "The parent is no number.")
    with transaction.atomic():
        found = get(Thread.objects, number)
        if parent is not None:
            get(Comment.objects.filter(thread=found), parent)
        comment, _ = Comment.objects.get_or_create(
            visitor=who,
            key=written(members, "key", 64) if "key" in members else secrets.token_hex(),
            defaults={
                "thread": found,
                "parent_id": parent,
                "author": " ".join(written(members, "author", 40).split()),
                "ip": request.META.get("REMOTE_ADDR") or None,
                "message": written(members, "message", 2000),
            },
        )
    return changed(comment.pk, comment.revision, status=201)


@require_http_methods(["PATCH", "DELETE"])
def comment(request, number):
    who = visitor(request)
    with transaction.atomic():
        found = get(Comment.objects.select_for_update(), number)
        if found.visitor != who:
            raise Refusal(403, "Only who wrote a comment can change it.")
        if request.method == "DELETE":
            found.delete()
        else:
            found.message = written(body(request), "message", 2000)
            found.save()
    return changed(number, found.revision)


@require_POST
def presence(request, number):
    """Counts a page in or out. When the count changes, all pages get it as a message."""
    who, leaving = visitor(request), body(request).get("leaving") is True
    with transaction.atomic():
        found = get(Thread.objects.select_for_update(), number)
        before = Presence.objects.filter(thread=found).count()
        Presence.objects.filter(thread=found).exclude(pk__in=present(found)).delete()
        if leaving:
            Presence.objects.filter(thread=found, visitor=who).delete()
        else:
            Presence.objects.update_or_create(thread=found, visitor=who, defaults={"seen_at": timezone.now()})
        readers = Presence.objects.filter(thread=found).count()
        if readers != before:
            Job.put(
                {
                    "id": f"p{found.pk}.{secrets.token_hex(8)}",
                    "event": "presence",
                    "forum": found.forum,
                    "thread": found.pk,
                    "readers": readers,
                }
            )
    return HttpResponse(status=204)


@require_GET
def health(request):
    Thread.objects.exists()
    return HttpResponse("ok\n", content_type="text/plain")


def changed(number, revision, status=200):
    return JsonResponse({"post": number, "id": change_id(number, revision)}, status=status)


def present(thread):
    return Presence.objects.filter(thread=thread, seen_at__gt=timezone.now() - AWAY)


def get(objects, number):
    """The object of this number."""
    found = objects.filter(pk=number).first() if 0 < number <= LARGEST else None
    if found is None:
        raise Refusal(404, "There is nothing of this number, or no more.")
    return found


def visitor(request):
    """Who sends a request. A cookie says so, which the thread has set."""
    cookie = request.COOKIES.get(COOKIE)
    if not cookie:
        raise Refusal(403, "Without the cookie of this page nobody can write.")
    return identity(cookie)


def identity(cookie):
    """The visitor of a cookie, from which nobody gets the cookie."""
    return hashlib.sha256(cookie.encode()).hexdigest()[:32]


def body(request):
    """The members of the JSON object that is a request's body."""
    if request.content_type != "application/json":
        raise Refusal(415, "A request has JSON, and says so: Content-Type: application/json.")
    try:
        members = json.loads(request.body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise Refusal(400, "The request is no JSON object.")
    return members


def written(members, name, longest):
    """A member that is text of 1 to so many characters."""
    value = members.get(name)
    value = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(value) <= longest:
        raise Refusal(400, f"The {name} has {len(value)} characters; it can have 1 to {longest}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") and not character.isspace() for character in value):
        raise Refusal(400, f"The {name} has control characters in it.")
    return value
