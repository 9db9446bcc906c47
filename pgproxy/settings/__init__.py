"""Layer 1: configuration. Pure; it is given a function that reads a path."""
