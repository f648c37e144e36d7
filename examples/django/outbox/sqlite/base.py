"""SQLite for several processes that write: Django's backend, with a write-ahead log, and with transactions that wait for their turn."""

from pathlib import Path

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params):
        Path(self.settings_dict["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        connection = super().get_new_connection(conn_params)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def _start_transaction_under_autocommit(self):
        # A transaction that reads first and writes then is refused at once when another has written between, however long
        # its time-out. Django 5.1 has the option transaction_mode for that.
        self.cursor().execute("BEGIN IMMEDIATE")
