"""The one kind of error that a user can mend."""


class UserError(Exception):
    """Something in the user's input is wrong; the message says what, where and what to do.

    The command line prints the message alone (no traceback) and exits with status 2.
    """
