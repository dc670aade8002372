"""Repairing a training that is somebody else's while it runs."""
