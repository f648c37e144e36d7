"""How a commit in one process wakes the relay in another: a byte in a FIFO, of which each relay has one.

This never waits for anything, and above all not for Redis. A byte that is lost costs the time until the relay looks by itself.
"""

import errno
import os
import select
from contextlib import suppress

from django.conf import settings

PATTERN = "relay-*.fifo"


def wake():
    """Wakes all relays of this machine."""
    for path in settings.DATA_DIRECTORY.glob(PATTERN):
        try:
            fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:  # its relay has ended, and could not remove it
                with suppress(OSError):
                    path.unlink()
            continue
        with suppress(BlockingIOError):  # it is full, so its relay will wake
            os.write(fifo, b"\0")
        os.close(fifo)


class Bell:
    """What wakes one relay. As a context manager it is there, and then no more."""

    def __enter__(self):
        settings.DATA_DIRECTORY.mkdir(parents=True, exist_ok=True)
        self.path = settings.DATA_DIRECTORY / PATTERN.replace("*", os.urandom(8).hex())
        new = self.path.with_suffix(".new")
        os.mkfifo(new, 0o600)
        self.fifo = os.open(new, os.O_RDWR | os.O_NONBLOCK)
        new.rename(self.path)  # nobody takes it for that of a relay that has ended
        return self

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)
        os.close(self.fifo)

    def ring(self):
        """Wakes this relay. A signal handler may call it."""
        with suppress(BlockingIOError):
            os.write(self.fifo, b"\0")

    def wait(self, seconds):
        """Waits until it rings, or so long."""
        select.select([self.fifo], [], [], seconds)
        with suppress(BlockingIOError):
            while os.read(self.fifo, 4096):
                pass
