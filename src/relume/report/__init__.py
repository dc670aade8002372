"""A run, shown: a document of plain data, rendered to a terminal or to one HTML file."""
