"""Two runs held against one another: what differs, and how far a difference means something."""
