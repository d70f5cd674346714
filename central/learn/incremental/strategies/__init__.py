"""The ways to learn more without forgetting, one file each: ``STRATEGY``."""
