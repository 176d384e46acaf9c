"""How numbers are written in tables."""


def seconds(value: float) -> str:
    """Three digits, as people read times."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def thousands(value: float) -> str:
    """A count to three digits: 12,300; a small rate with two decimals: 0.37."""
    if value < 10:
        return f"{value:.2f}"
    digits = max(0, len(str(int(value))) - 3)
    return f"{round(value, -digits):,.0f}"


def megabytes(value: float) -> str:
    """Bytes as MB."""
    return f"{value / 1e6:,.0f}"


def ratio(value: float) -> str:
    """A factor: 5.2×."""
    return f"{value:.0f}×" if value >= 100 else f"{value:.1f}×" if value >= 10 else f"{value:.2f}×"


def percent(value: float) -> str:
    """A share of one, in percent."""
    return f"{100 * value:.0f}%" if value >= 0.1 else f"{100 * value:.1f}%"


def error(value: float) -> str:
    """A mean squared error."""
    return f"{value:.5f}"


def billions(value: float) -> str:
    """A rate in units of 10⁹."""
    return f"{value / 1e9:,.0f}"


def one_decimal(value: float) -> str:
    """A number with one decimal."""
    return f"{value:.1f}"
