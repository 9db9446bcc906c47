"""The reference TLS-negotiating proxy for PostgreSQL."""

__version__ = "0.1.0"
