"""The commands of the pages that the tests do not run, each with its reason."""

SLOW: dict[tuple[str, str], str] = {
    (
        "tutorial.md",
        r"relume cure --metric-regex 'accuracy (\S+)' --budget 12 train.py --lr 0.3",
    ): "it runs the training a dozen times",
    ("guides/fit.md", "relume fit images.npz --epochs 1 --no-repair"): "seconds; tested apart",
    ("guides/fit.md", "relume fit sequences.npz --epochs 1 --no-repair"): "seconds; tested apart",
    (
        "guides/fit.md",
        "relume fit reviews.csv --target again --text review --epochs 2 --no-repair",
    ): "seconds; tested apart",
}
"""By page and command: run by ``make docs``, and its output compared then."""

NOT_RUN: dict[tuple[str, str], str] = {
    ("guides/live.md", "relume live relume-train"): "a server; its own tests start it",
    ("guides/live.md", "relume live --port 8421 --open"): "a server; its own tests start it",
    ("guides/live.md", "relume live relume-train --terminal"): "shown below, with its output",
    ("index.md", "pip install ."): "the tests run in an environment where it is installed",
    ("index.md", r"relume cure --metric-regex 'accuracy (\S+)' train.py"): (
        "two dozen runs; the tutorial has one of them, with its output"
    ),
    ("guides/run.md", "relume run -- torchrun --nproc-per-node 2 train.py"): (
        "its processes would be two that know nothing of each other; launchers are tested apart"
    ),
    (
        "guides/cure.md",
        r"relume cure --metric-regex 'accuracy (\S+)' train.py --epochs 8",
    ): "two dozen runs; the tutorial has one of them, with its output",
}
"""By page and command, or first line of a block: run by nobody."""

ELSEWHERE: dict[str, str] = {"integrations.md": "tests/docs/test_integrations_page.py"}
"""Pages whose blocks are examples with tests of their own, and what sees to it."""
