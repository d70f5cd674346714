"""One file per measure, found by being here."""
