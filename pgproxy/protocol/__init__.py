"""
Layer 0: the wire format of PostgreSQL, and what auth and settings share.

Pure; imports nothing of pgproxy.
"""
