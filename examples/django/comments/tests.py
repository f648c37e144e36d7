import json
from unittest.mock import patch

from django.db import IntegrityError
from django.db.transaction import TransactionManagementError
from django.test import Client, TestCase, TransactionTestCase, override_settings

from outbox.models import Job

from .models import Comment, Thread


def changes():
    return [json.loads(job.payload)["id"] for job in Job.objects.order_by("id")]


class Outbox(TransactionTestCase):
    """Without a transaction around each test, as a program works."""

    def setUp(self):
        self.thread = Thread.objects.create(forum="demo")

    def comment(self):
        return Comment.objects.create(thread=self.thread, visitor="v", author="Ann", message="Hello")

    def test_a_change_without_its_job_is_none(self):
        kept = self.comment()
        with patch.object(Job, "put", side_effect=IntegrityError):
            for change in (self.comment, kept.save, kept.delete):
                with self.assertRaises(IntegrityError):
                    change()
        self.assertEqual(list(Comment.objects.values_list("revision", flat=True)), [1])

    def test_a_job_without_a_transaction_is_refused(self):
        with self.assertRaises(TransactionManagementError):
            Job.put({"id": "x"})

    def test_every_change_has_an_id_of_its_own(self):
        comment, stale = self.comment(), Comment.objects.get()
        comment.save()
        stale.save()
        Comment.objects.all().delete()
        self.assertEqual(changes(), [f"c{stale.pk}.{revision}" for revision in (1, 2, 3, 4)])

    def test_a_change_of_some_fields_has_one_too(self):
        comment = self.comment()
        for message in ("once", "twice"):
            comment.message = message
            comment.save(update_fields=["message"])
            comment = Comment.objects.get()
        self.assertEqual(changes(), [f"c{comment.pk}.{revision}" for revision in (1, 2, 3)])


class API(TestCase):
    def setUp(self):
        self.thread = Thread.objects.create(forum="demo")
        self.url = f"/api/threads/{self.thread.pk}"
        self.ann, self.bob = Client(), Client()
        for visitor in (self.ann, self.bob):
            visitor.get(self.url)

    def post(self, visitor, url, **body):
        return visitor.post(self.url + url, body, content_type="application/json")

    def written(self):
        return self.post(self.ann, "/comments", author="Ann", message="<b>Hello</b>").json()["post"]

    def test_a_thread(self):
        post = self.written()
        for visitor, own in ((self.ann, True), (self.bob, False)):
            thread = visitor.get(self.url).json()
            comment = thread.pop("comments")[0]
            self.assertEqual(
                thread,
                {"thread": self.thread.pk, "forum": "demo", "hosts": [], "channels": [f"thread:{self.thread.pk}"], "readers": 0},
            )
            self.assertTrue(comment.pop("createdAt").endswith("Z"))
            self.assertEqual(
                comment,
                {
                    "post": post,
                    "thread": self.thread.pk,
                    "parent": None,
                    "author": {"name": "Ann", "username": "ann"},
                    "message": "&lt;b&gt;Hello&lt;/b&gt;",
                    "revision": 1,
                    "own": own,
                },
            )

    def test_the_cookie_is_for_the_server_alone(self):
        cookie = Client().get(self.url).cookies["visitor"]
        self.assertTrue(cookie["httponly"])
        self.assertEqual(cookie["samesite"], "Lax")
        self.assertNotIn(cookie.value, str(Job.objects.values()) + str(Comment.objects.values()))

    def test_a_comment_belongs_to_who_wrote_it(self):
        url = f"/api/comments/{self.written()}"
        for method in ("patch", "delete"):
            refused = getattr(self.bob, method)(url, {"message": "x"}, content_type="application/json")
            self.assertEqual((refused.status_code, refused["Content-Type"]), (403, "text/plain; charset=utf-8"))
        self.assertEqual(self.ann.delete(url).status_code, 200)
        self.assertEqual(self.ann.delete(url).status_code, 404)

    def test_a_comment_that_comes_again_is_one(self):
        def post(visitor, **key):
            return self.post(visitor, "/comments", author="Ann", message="Hello", **key).json()["post"]

        first = post(self.ann, key="k1")
        self.assertEqual(post(self.ann, key="k1"), first)
        others = {post(self.ann, key="k2"), post(self.bob, key="k1"), post(self.ann), post(self.ann)}
        self.assertEqual(len(others - {first}), 4)
        self.assertEqual(Job.objects.count(), 5)

    def test_what_is_refused(self):
        comments = "/comments"
        for status, answer in (
            (400, self.post(self.ann, comments, author="Ann", message=" ")),
            (400, self.post(self.ann, comments, author="A" * 41, message="x")),
            (400, self.post(self.ann, comments, author="Ann", message="\ud800")),
            (400, self.post(self.ann, comments, author="Ann", message=["x"])),
            (400, self.post(self.ann, comments, author="Ann", message="x", parent="1")),
            (400, self.post(self.ann, comments, author="Ann", message="x", key="k" * 65)),
            (404, self.post(self.ann, comments, author="Ann", message="x", parent=2**70)),
            (404, self.post(self.ann, comments, author="Ann", message="x", parent=-(2**70))),
            (403, self.post(Client(), comments, author="Ann", message="x")),
            (413, self.post(self.ann, comments, author="Ann", message="x" * 40_000)),
            (415, self.ann.post(self.url + comments, {"author": "Ann", "message": "x"})),
            (400, self.ann.post(self.url + comments, "[]", content_type="application/json")),
            (400, self.ann.post(self.url + comments, "[" * 30_000, content_type="application/json")),
            (404, self.ann.get(f"/api/threads/{2**70}")),
            (400, self.ann.get("/../manage.py")),
        ):
            self.assertEqual((answer.status_code, answer["Content-Type"]), (status, "text/plain; charset=utf-8"), answer.content)
        self.assertEqual(Job.objects.count(), 0)

    def test_presence_tells_of_changes_alone(self):
        for visitor, leaving in ((self.ann, False), (self.ann, False), (self.bob, False), (self.ann, True)):
            self.assertEqual(self.post(visitor, "/presence", leaving=leaving).status_code, 204)
        self.assertEqual([json.loads(job.payload)["readers"] for job in Job.objects.order_by("id")], [1, 2, 1])


class Pages(TestCase):
    @override_settings(PUSH_HOSTS=["http://push1.example", "http://push2.example"])
    def test_the_map_names_push_hosts(self):
        page = self.client.get("/map/")
        self.assertContains(page, 'data-hosts="http://push1.example http://push2.example"')
        self.assertEqual(page.headers["Content-Type"], "text/html; charset=utf-8")
