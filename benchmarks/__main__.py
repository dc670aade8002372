"""Run every benchmark and write its result to ``benchmarks/results``."""

from benchmarks import adding_problem, kernels, mutations, probe

for benchmark in (kernels, probe, mutations, adding_problem):
    benchmark.main()
