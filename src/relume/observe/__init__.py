"""Probes: which layer, which unit axis, what was seen."""
