"""The errors that are the user's to mend."""


class InputError(Exception):
    """What was given is wrong: a file, a text, an option.

    The command line prints the message without a traceback and exits with code 2. The message is
    one paragraph that says what was wrong, where (file, column), and what to do.
    """
