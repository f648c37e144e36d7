import json

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.transaction import TransactionManagementError

from . import wake


class Job(models.Model):
    """An envelope that the relay has yet to put on the feed.

    It is written in the transaction of the change that it tells of, so that there are both or neither. Rows leave in the order of
    their ids, which is the order of the changes of one object if its row is written, or locked, before that of the job.
    """

    payload = models.TextField()  # JSON, on one line

    @classmethod
    def put(cls, envelope, using=DEFAULT_DB_ALIAS):
        """Writes an envelope, and wakes the relay when the transaction is committed."""
        if not transaction.get_connection(using).in_atomic_block:
            raise TransactionManagementError("a job goes into the outbox in the transaction of its change, and there is none")
        cls.objects.using(using).create(payload=json.dumps(envelope, cls=DjangoJSONEncoder))
        transaction.on_commit(wake.wake, using=using)
