"""Pages of the documentation that are made from the code and from measured results."""
