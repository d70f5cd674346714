"""Detection: reading labels, training, and measuring how good a pack is."""
