import secrets

from django.db import models, transaction
from django.utils.html import escape
from django.utils.text import slugify


def change_id(post, revision):
    """The id of a comment's change, by which readers know a message again that comes twice."""
    return f"c{post}.{revision}"


class Thread(models.Model):
    forum = models.CharField(max_length=40)


class Comment(models.Model):
    """A visitor's comment. Whatever saves or deletes one puts a job: signals.py. QuerySet.update and bulk_create do not, as Django has it."""

    thread = models.ForeignKey(Thread, models.CASCADE)
    # An answer stays, with its number, when what it answers is deleted.
    parent = models.ForeignKey("self", models.DO_NOTHING, null=True, db_constraint=False)
    visitor = models.CharField(max_length=32)  # who may change it
    key = models.CharField(max_length=64, default=secrets.token_hex)  # the same where a request comes again
    author = models.CharField(max_length=40)
    ip = models.GenericIPAddressField(null=True)
    message = models.CharField(max_length=2000)  # plain text
    created_at = models.DateTimeField(auto_now_add=True)
    revision = models.PositiveIntegerField(default=0)  # how many changes it has seen

    class Meta:
        constraints = [models.UniqueConstraint(fields=["visitor", "key"], name="once_of_a_visitor")]

    @transaction.atomic  # so that the signal's job is in the same transaction; a deletion is one by itself
    def save(self, **kwargs):
        if kwargs.get("update_fields"):  # as update_or_create names them
            kwargs["update_fields"] = {*kwargs["update_fields"], "revision"}
        super().save(**kwargs)

    def count_change(self):
        """Numbers a change that is about to be made. Until the end of the transaction nobody else can make one."""
        stored = Comment.objects.select_for_update().filter(pk=self.pk).values_list("revision", flat=True).first()
        self.revision = (stored or 0) + 1

    def public(self):
        """What everybody may see of it. The message is HTML that shows what the visitor wrote."""
        return {
            "post": self.pk,
            "thread": self.thread_id,
            "parent": self.parent_id,
            "author": {"name": self.author, "username": self.username},
            "message": escape(self.message),
            "createdAt": self.created_at,
            "revision": self.revision,
        }

    def envelope(self, event):
        """The job that tells of its last change: docs/envelope.md. Personal data are in it, which a stage removes."""
        public = self.public()
        return {
            "id": change_id(self.pk, self.revision),
            "event": event,
            "forum": self.thread.forum,
            **public,
            "author": {"id": self.visitor, **public["author"], "ip": self.ip},
        }

    @property
    def username(self):
        return slugify(self.author) or "visitor"


class Presence(models.Model):
    """A visitor who has a thread open."""

    thread = models.ForeignKey(Thread, models.CASCADE)
    visitor = models.CharField(max_length=32)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["thread", "visitor"], name="once_in_a_thread")]
