"""Benchmarks: every figure is a ratio from one interleaved run beside its bare twin."""
