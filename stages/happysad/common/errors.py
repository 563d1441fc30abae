class UserError(Exception):
    """What the user can mend: its text names the file or the key and the remedy, and is printed without a traceback."""
