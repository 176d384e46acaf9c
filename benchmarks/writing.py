"""Numbers as the tables write them."""


def seconds(value: float) -> str:
    """Write a time in three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def thousands(value: float) -> str:
    """Write a count in three digits, such as 12,300, and a small rate with two decimals."""
    if value < 10:
        return f"{value:.2f}"
    digits = max(0, len(str(int(value))) - 3)
    return f"{round(value, -digits):,.0f}"


def megabytes(value: float) -> str:
    """Write bytes in MB."""
    return f"{value / 1e6:,.0f}"


def ratio(value: float) -> str:
    """Write a factor, such as 5.2×."""
    return f"{value:.0f}×" if value >= 100 else f"{value:.1f}×" if value >= 10 else f"{value:.2f}×"


def percent(value: float) -> str:
    """Write a share of one in percent."""
    return f"{100 * value:.0f}%" if value >= 0.1 else f"{100 * value:.1f}%"


def error(value: float) -> str:
    """Write a mean squared error."""
    return f"{value:.5f}"


def billions(value: float) -> str:
    """Write a rate in units of 10⁹."""
    return f"{value / 1e9:,.0f}"


def one_decimal(value: float) -> str:
    """Write a number with one decimal."""
    return f"{value:.1f}"
