"""The settings, all from the environment. README.md has them in a table."""

import os
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def words(name, default=""):
    """The value of a variable as a list: words with commas between them."""
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


# The one directory that is written to: the database, and what wakes the relay.
DATA_DIRECTORY = Path(os.environ.get("DATA_DIRECTORY", BASE_DIR / "data")).absolute()


def database(url):
    """The database of a URL such as postgresql://USER:PASSWORD@HOST:PORT/NAME; without one, SQLite in DATA_DIRECTORY."""
    if not url:
        return {
            "ENGINE": "outbox.sqlite",
            "NAME": DATA_DIRECTORY / "comments.sqlite3",
            "OPTIONS": {"timeout": 20},  # seconds that a writer waits for the others
        }
    parts = urlsplit(url)
    if parts.scheme != "postgresql":
        raise ImproperlyConfigured("DATABASE_URL does not begin with postgresql://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
    }


DATABASES = {"default": database(os.environ.get("DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Nothing here is signed with it, so that one of each process's own will do. Sessions, password resets and the like need one that stays.
SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")

# Where the jobs go, and the feed's name.
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
FEED = os.environ.get("FEED", "comments")

# The origins of the push hosts at which browsers listen, such as https://push1.example.com. Without any, it is that of the page.
PUSH_HOSTS = words("PUSH_HOSTS")

# The directory of the pages, and of the JavaScript module with which they read messages.
PAGES_DIRECTORY = Path(os.environ.get("PAGES_DIRECTORY", BASE_DIR.parent.parent / "nginx" / "www")).absolute()

# What the pages may load and ask: only what is theirs, and the push hosts. Nothing that visitors wrote runs, or tells other sites who reads.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:",
        " ".join(["connect-src 'self'", *PUSH_HOSTS, *(host.replace("http", "ws", 1) for host in PUSH_HOSTS)]),
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ]
)

INSTALLED_APPS = ["outbox", "comments"]
# There are no forms and no CsrfViewMiddleware: what changes something takes application/json alone, which pages of other
# sites cannot send, and the cookie is SameSite=Lax.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "comments.refusal.RefusalMiddleware",
]
ROOT_URLCONF = "sample.urls"
APPEND_SLASH = False
USE_TZ = True
USE_I18N = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 << 10  # bytes of a request's body

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"django": {"handlers": ["stderr"], "level": "ERROR", "propagate": False}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
