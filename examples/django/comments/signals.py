"""What puts jobs: every comment that is saved or deleted, in the transaction in which it is."""

from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver

from outbox.models import Job

from .models import Comment


@receiver([pre_save, pre_delete], sender=Comment)
def comment_changes(instance, **_):
    instance.count_change()


@receiver(post_save, sender=Comment)
def comment_saved(instance, using, **_):
    Job.put(instance.envelope("post_save"), using)


@receiver(post_delete, sender=Comment)
def comment_deleted(instance, using, **_):
    envelope = instance.envelope("post_delete")
    for gone in ("message", "createdAt", "parent"):
        del envelope[gone]
    Job.put(envelope, using)
