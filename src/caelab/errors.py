"""Errors that the user can mend."""


class InputError(Exception):
    """An input is wrong: a file, a text or a parameter.

    The message is one paragraph that says what was wrong, where (file, column), and what to do.
    It names parameters in backticks, by the name of the argument or by the path in the
    configuration: "`loss.kind` cross_entropy needs `target.kind` bins". The command line puts its
    flags in their place, prints the message without a traceback and exits with code 2.
    """
