"""Learning how blurred something is."""
