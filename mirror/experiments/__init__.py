"""Studies of settings, and the paper's tables."""
