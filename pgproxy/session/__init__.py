"""Layer 2: the ladder, from the first byte to the relay. Pure."""
