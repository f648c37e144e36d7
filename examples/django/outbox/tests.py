import uuid
from unittest.mock import patch

import redis
from django.conf import settings
from django.db import transaction
from django.test import TransactionTestCase, override_settings

from . import relay
from .models import Job


class OneRelay(TransactionTestCase):
    """With the Redis of the settings, on a feed of its own."""

    def setUp(self):
        feed = override_settings(FEED="test-" + uuid.uuid4().hex)
        feed.enable()
        self.addCleanup(feed.disable)
        self.first, self.second = relay.Relay(), relay.Relay()
        self.redis = self.first.redis
        self.addCleanup(self.remove)
        with transaction.atomic():
            Job.put({"id": "c1.1"})

    def remove(self):
        self.redis.delete(*self.redis.keys("*:" + settings.FEED))
        for each in (self.first, self.second):
            each.redis.close()

    def queued(self):
        return self.redis.llen("feed.ids:" + settings.FEED)

    def test_the_others_stand_by(self):
        self.assertEqual(self.first.move(), 1)
        with transaction.atomic():
            Job.put({"id": "c1.2"})
        self.assertEqual(self.second.move(), 0)
        self.first.resign()
        self.assertEqual(self.second.move(), 1)
        self.assertEqual(self.queued(), 2)

    def test_who_comes_too_late_puts_nothing(self):
        put = relay.put

        def while_another_works(*args):
            relay.put = put
            self.redis.delete(self.first.key)  # as if it had expired
            self.assertEqual(self.second.move(), 1)
            put(*args)

        with patch.object(relay, "put", while_another_works):
            with self.assertRaises(redis.WatchError):
                self.first.move()
        self.assertEqual(self.queued(), 1)
