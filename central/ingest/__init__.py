"""What nodes send, on its way into the store.

inspect     is this image what the message says, before anything is kept
frames      the frames of a batch: dedupe, images, rows, then receipts
presence    status, health and alerts of nodes
value       which frame a person should see first
consumer    the queues, and who gets what
"""
