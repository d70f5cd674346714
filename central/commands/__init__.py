"""The commands of ``wayside-central``, by what they are about. `central.cli` puts them together."""
