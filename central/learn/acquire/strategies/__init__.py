"""The ways to choose what to ask next, one file each: ``ACQUISITION``."""
