"""Where the centre keeps things.

models      the tables
database    engine, sessions, transactions
migrations  how an older schema becomes this one
blobs       images and archives, by key: a local folder, memory, or S3
"""
