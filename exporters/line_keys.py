"""What a line's key says."""

from __future__ import annotations


def original_key(line_key: str) -> str:
    """The key of the line that an adjustment is about; of any other line its own. A line key has
    six parts; that of an adjustment has `adj` and a month before them and may have the payer
    behind."""
    parts = line_key.split("/")
    return "/".join(parts[2:8]) if parts[0] == "adj" and len(parts) >= 8 else line_key
