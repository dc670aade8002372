"""Run every benchmark and write its result to ``benchmarks/results``."""

from benchmarks import mutations, probe

for benchmark in (probe, mutations):
    benchmark.main()
