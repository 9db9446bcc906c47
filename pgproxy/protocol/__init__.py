"""Layer 0: the wire format of PostgreSQL. Pure; imports nothing of pgproxy."""
