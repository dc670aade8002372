"""Findings answered: changes that are verified, and can be undone."""
