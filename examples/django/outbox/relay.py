"""Moves jobs from the outbox to their feed in Redis: each at least once, in order.

Any number of relays may run, on any number of machines. One works, which holds the key outbox.relay:FEED in Redis, and the others stand
by. Redis carries out what it puts only if it holds the key in that moment, so that one which was stopped, or cut off, for however long
comes too late to put old jobs after newer ones.

A job may be put twice: when a relay dies, or loses Redis, between putting it and removing its row. Its envelope is the same then,
with the same id, by which readers know it again.
"""

import logging
import random
import time
import uuid

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from .models import Job
from .wake import Bell

log = logging.getLogger(__name__)

BATCH = 100  # jobs put at once
LEASE = 3  # seconds until another relay takes over from one that has died
POLL = 1  # seconds between two looks at the outbox, if nobody wakes the relay
TIMEOUT = 5  # seconds that Redis may take to answer
LONGEST_BACKOFF = 5  # seconds


class Relay:
    """Relay moves jobs until it is stopped. It makes no connection before it runs."""

    def __init__(self):
        self.redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self.key = "outbox.relay:" + settings.FEED
        self.name = uuid.uuid4().hex.encode()
        self.bell = Bell()
        self.stopped = False

    def run(self):
        """Moves jobs until stop is called. What it has begun then, it ends."""
        with self.bell:
            log.info("moves jobs to the feed %s", settings.FEED)
            failures = 0
            while not self.stopped:
                try:
                    moved = self.move()
                except (redis.RedisError, DatabaseError) as error:
                    connection.close()  # it may be broken
                    failures += 1
                    if failures == 1:
                        log.warning("cannot move jobs, and tries again: %s", error)
                    self.pause(failures)
                    continue
                if failures:
                    log.info("moves jobs again")
                    failures = 0
                if not moved:
                    self.bell.wait(POLL)
            self.resign()
            connection.close()

    def stop(self):
        """Ends run. A signal handler, or another thread, may call it."""
        self.stopped = True
        self.bell.ring()

    def move(self):
        """Puts the oldest jobs, removes their rows, and returns how many there were; 0 if another relay works."""
        if not Job.objects.exists():
            return 0
        self.redis.set(self.key, self.name, nx=True, ex=LEASE)
        with self.redis.pipeline() as pipe:
            pipe.watch(self.key)
            if pipe.get(self.key) != self.name:
                return 0
            jobs = list(Job.objects.order_by("id")[:BATCH])
            pipe.multi()
            for job in jobs:
                put(pipe, settings.FEED, job.payload)
            pipe.expire(self.key, LEASE)
            pipe.execute()  # of all that or nothing; nothing if the key is another's by now
        Job.objects.filter(pk__in=[job.pk for job in jobs]).delete()
        return len(jobs)

    def pause(self, failures):
        """Waits longer with every failure, whoever rings, so that Redis is not stormed when it is back."""
        until = time.monotonic() + random.uniform(0.5, 1) * min(LONGEST_BACKOFF, 0.1 * 2 ** min(failures, 10))
        while not self.stopped and (left := until - time.monotonic()) > 0:
            self.bell.wait(left)

    def resign(self):
        """Leaves the work to another relay at once."""
        try:
            with self.redis.pipeline() as pipe:
                pipe.watch(self.key)
                if pipe.get(self.key) == self.name:
                    pipe.multi()
                    pipe.delete(self.key)
                    pipe.execute()
        except redis.RedisError:
            pass  # the key expires
        self.redis.close()


def put(pipe, feed, payload):
    """Puts a job: what docs/envelope.md says."""
    job = uuid.uuid4().hex
    pipe.lpush("feed.ids:" + feed, job)
    pipe.incr("feed.publishes:" + feed)
    pipe.hset("feed.items:" + feed, job, payload)
    pipe.zadd("feed.published:" + feed, {job: time.time_ns() // 1_000_000})
