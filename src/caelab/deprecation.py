"""Warnings about old names, which still work for a while."""

import warnings


def warn_renamed(old: str, new: str, *, removal: str) -> None:
    """Warn a user that an old name will be removed.

    Call this first in the function, the method or the module's ``__getattr__`` that has the old
    name. The warning points to the user's line that used the name, so that scripts and notebooks
    show it. ``python -W error::DeprecationWarning`` stops at every such line.

    >>> import warnings
    >>> def picture():
    ...     warn_renamed("picture", "samples", removal="0.4")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     picture()
    >>> print(caught[0].message)
    `picture` is called `samples` now; the old name goes away in caelab 0.4.

    Args:
        old: Old name of the function, class or parameter.
        new: New name.
        removal: First version without the old name.
    """
    warnings.warn(
        f"`{old}` is called `{new}` now; the old name goes away in caelab {removal}.",
        DeprecationWarning,
        stacklevel=3,  # the caller of the function that calls this one
    )
