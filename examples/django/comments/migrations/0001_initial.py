import secrets

from django.db import migrations, models

ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


def first_thread(apps, _):
    apps.get_model("comments", "Thread").objects.create(forum="demo")


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="Thread",
            fields=[
                ID,
                ("forum", models.CharField(max_length=40)),
            ],
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ID,
                ("visitor", models.CharField(max_length=32)),
                ("key", models.CharField(default=secrets.token_hex, max_length=64)),
                ("author", models.CharField(max_length=40)),
                ("ip", models.GenericIPAddressField(null=True)),
                ("message", models.CharField(max_length=2000)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("revision", models.PositiveIntegerField(default=0)),
                ("parent", models.ForeignKey("comments.comment", models.DO_NOTHING, null=True, db_constraint=False)),
                ("thread", models.ForeignKey("comments.thread", models.CASCADE)),
            ],
            options={"constraints": [models.UniqueConstraint(fields=["visitor", "key"], name="once_of_a_visitor")]},
        ),
        migrations.CreateModel(
            name="Presence",
            fields=[
                ID,
                ("visitor", models.CharField(max_length=32)),
                ("seen_at", models.DateTimeField()),
                ("thread", models.ForeignKey("comments.thread", models.CASCADE)),
            ],
            options={"constraints": [models.UniqueConstraint(fields=["thread", "visitor"], name="once_in_a_thread")]},
        ),
        migrations.RunPython(first_thread, migrations.RunPython.noop),
    ]
