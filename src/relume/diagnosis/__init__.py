"""Records become findings: what is wrong, where, since when, by what evidence, and what to do."""
