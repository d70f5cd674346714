"""The node: source -> runtime -> assess -> select -> redact -> spool -> link. Never imports torch."""

__version__ = "0.1.0"
