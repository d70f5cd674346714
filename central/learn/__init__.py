"""Learning at the centre: models, data, detection, and what builds on them."""
