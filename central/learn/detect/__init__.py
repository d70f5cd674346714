"""Detection: assignment, losses, training and evaluation."""
