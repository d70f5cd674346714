"""Real servers for tests: started from what the machine has installed, stopped, killed and frozen by the test."""
