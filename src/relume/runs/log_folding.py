"""Ending a run file: its log is folded into the one file, unless somebody reads it for long."""

import sqlite3
import time

LONGEST_FOLD_S = 2.0


def fold_log(connection: sqlite3.Connection) -> bool:
    """Fold the log of a run file into it; return whether that was done.

    SQLite cannot while another process has the file open. Who reads has it open for a moment: that
    is waited for. After ``LONGEST_FOLD_S`` the log is left beside the file; nothing is lost then.

    Raises:
        sqlite3.Error: If the file cannot be written.
    """
    give_up_at_s = time.monotonic() + LONGEST_FOLD_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() >= give_up_at_s:
                return False
            time.sleep(0.01)
        else:
            return True
