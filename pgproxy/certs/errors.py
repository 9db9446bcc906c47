"""What goes wrong, told to who can put it right."""


class CertsError(Exception):
    """It was not done; the text says why, and what would help."""
