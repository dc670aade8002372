"""What works inside the process of a trial: treatments put in from outside, and its records."""
