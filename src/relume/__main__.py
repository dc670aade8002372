"""``python -m relume``."""

from relume.cli import main

main()
