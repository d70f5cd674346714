"""Pretexts, one file each: ``PRETEXT`` is its class (`central.learn.ssl.Pretext`)."""
