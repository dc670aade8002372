"""The texts that mean a missing value."""

MISSING_TEXTS = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?", "-")
