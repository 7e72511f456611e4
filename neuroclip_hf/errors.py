"""The one exception for bad input."""


class InputError(ValueError):
    """Something the user gave cannot be used: the message names the file, the value and the remedy.

    Raised before work starts wherever that is possible. The command line prints its message without a traceback
    and exits with code 2; every other exception is a defect of this package and keeps its traceback.
    """
