"""What a survey wrote, as it is read back."""

from collections.abc import Mapping
from typing import Any

Written = Mapping[str, Any]
"""Plain JSON data."""
