import signal

from django.core.management.base import BaseCommand

from outbox.relay import Relay


class Command(BaseCommand):
    help = "Moves jobs from the outbox to their feed in Redis until SIGTERM or SIGINT. Several may run."
    requires_system_checks = []

    def handle(self, **_):
        relay = Relay()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: relay.stop())
        relay.run()
