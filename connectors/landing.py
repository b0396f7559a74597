"""The landing zone: where every connector's answer is written down, once, and read from.

The form of a landed file is in ``connectors.tables``, the check of what lies there in
``connectors.manifest``.
"""

from __future__ import annotations

from connectors.manifest import LandedFile, Manifest, Refused, scan

__all__ = ["LandedFile", "Manifest", "Refused", "scan"]
