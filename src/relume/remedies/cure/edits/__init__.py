"""Treatments written into a person's source, as a diff."""
