"""What nodes and the centre agree on. Imports nothing else of Wayside.

    messages  every message as a typed struct
    topics    the topic tree under one prefix
    codec     bytes <-> messages, with size limits and one error type
    pack      the model pack: layout, manifest, content address
    files     writing files so that a power cut leaves the old or the new one
"""
