"""The one error of deltas."""

from __future__ import annotations


class DeltaError(ValueError):
    """A delta that cannot be made or applied: damaged, too large, or of other packs. The text says which, and why."""
