"""The offline proof of a repair: a person's own command, run again under candidate treatments."""
