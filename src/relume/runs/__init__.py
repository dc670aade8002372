"""The run file: record types, the SQLite store that writes them, the queries that read them."""
