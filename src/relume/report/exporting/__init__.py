"""A run handed to other tools: plain files, and the trackers that people use already."""
