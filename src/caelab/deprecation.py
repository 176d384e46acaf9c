"""Old names that still work for a while, with a warning that says the new one."""

import warnings


def warn_renamed(old: str, new: str, *, removal: str) -> None:
    """Warn that the caller was called by a name that goes away.

    Call it first in the function, the method or the module's ``__getattr__`` that still serves the
    old name. The warning points to the line of the user, so that it is shown in scripts and
    notebooks, and ``python -W error::DeprecationWarning`` finds every such line.

    >>> import warnings
    >>> def picture():
    ...     warn_renamed("picture", "samples", removal="0.4")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     picture()
    >>> print(caught[0].message)
    `picture` is called `samples` now; the old name goes away in caelab 0.4.

    Args:
        old: Name of the function, class or parameter until now.
        new: Its name now.
        removal: First version without the old name.
    """
    warnings.warn(
        f"`{old}` is called `{new}` now; the old name goes away in caelab {removal}.",
        DeprecationWarning,
        stacklevel=3,  # the caller of the function that calls this one
    )
