"""Layer 5: certificates and PostgreSQL instances for the demo and for tests."""
