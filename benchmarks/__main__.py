"""Run every benchmark and write its result to ``benchmarks/results``."""

from benchmarks import adding_problem, mutations, probe

for benchmark in (probe, mutations, adding_problem):
    benchmark.main()
