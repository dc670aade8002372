"""Runs as they grow: a page that a server on this machine keeps up to date, and a terminal."""
