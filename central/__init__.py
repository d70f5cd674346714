"""The centre: ingest, store, annotation, learning, releases, API and UI."""
