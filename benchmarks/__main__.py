"""Run every benchmark and write its result to ``benchmarks/results``."""

from benchmarks import adding_problem, kernels, kills, mutations, planted, probe

for benchmark in (kernels, probe, mutations, adding_problem, kills, planted):
    benchmark.main()
