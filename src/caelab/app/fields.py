"""Read numbers from the fields of forms."""

import math
from collections.abc import Mapping
from typing import Any

from caelab.errors import InputError


def read_number(form: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    """Return the number in a field, or ``None`` if the field is missing or empty.

    Args:
        form: Texts of the fields by their names.
        name: Name of the field.
        low: Smallest number that is allowed.
        high: Largest number that is allowed.

    Raises:
        InputError: The text is no number, or the number is out of range.
    """
    text = str(form.get(name) or "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"{name.capitalize()}: give a number from {low:g} to {high:g}.")
    return value
