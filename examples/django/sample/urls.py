from pathlib import Path

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils.html import escape
from django.views.decorators.http import require_safe
from django.views.static import serve

from comments import refusal, views


@require_safe
def page(request, name):
    """A file of the pages. Where there is more than a sample to serve, that is the web server's work."""
    if name == "":
        return HttpResponseRedirect("/thread/")
    if name.endswith("/"):
        name += "index.html"
    response = serve(request, name, settings.PAGES_DIRECTORY)
    if name == "map/index.html":  # it has no API that would name the push hosts
        text = b"".join(response).replace(b'data-hosts=""', f'data-hosts="{escape(" ".join(settings.PUSH_HOSTS))}"'.encode())
        response = HttpResponse(text)
    response.headers["Cache-Control"] = "no-cache"  # ask whether it is still the newest
    response.headers["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY
    return response


urlpatterns = [
    path("api/threads/<int:number>", views.thread),
    path("api/threads/<int:number>/comments", views.comments),
    path("api/threads/<int:number>/presence", views.presence),
    path("api/comments/<int:number>", views.comment),
    path("healthz", views.health),
    path("<path:name>", page),
    path("", page, {"name": ""}),
]

handler400 = lambda request, exception: refusal.text(400, "The request cannot be understood.")
handler403 = lambda request, exception: refusal.text(403, "That is forbidden.")
handler404 = lambda request, exception: refusal.text(404, "There is nothing of this name.")
handler500 = lambda request: refusal.text(500, "Something went wrong.")
