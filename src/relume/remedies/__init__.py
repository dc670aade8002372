"""Remedies: what can be done about a finding, each verified, each undoable bitwise."""
