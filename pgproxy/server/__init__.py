"""Layer 4: the shell, which performs what the session decides."""
