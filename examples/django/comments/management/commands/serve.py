import signal
import sys
import threading

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application

from outbox.relay import Relay


class Command(BaseCommand):
    help = "The whole application in one process: makes its tables, moves jobs to their feed, and serves pages and API, until SIGTERM or SIGINT."

    def add_arguments(self, parser):
        parser.add_argument("address", nargs="?", default="127.0.0.1:8000", help="HOST:PORT (%(default)s)")
        parser.add_argument("--no-relay", action="store_true", help="jobs are moved by another process: manage.py relay")

    def handle(self, address, no_relay, **_):
        call_command("migrate", verbosity=0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit())
        relay = Relay()
        moves = threading.Thread(target=relay.run)
        if not no_relay:
            moves.start()
        host, _, port = address.rpartition(":")
        print(f"serves http://{address}/", flush=True)
        try:
            run(host, int(port), get_wsgi_application(), threading=True)
        finally:
            if not no_relay:
                relay.stop()
                moves.join()
