"""Numbers and places as findings and reports write them."""


def count(number_of: int, noun: str) -> str:
    """Return a count and its noun.

    Example:
        >>> count(1, "unit"), count(1200, "row"), count(30, "batch")
        ('1 unit', '1,200 rows', '30 batches')
    """
    ending = "es" if noun.endswith("tch") else "s"
    return f"{number_of:,} {noun}{'' if number_of == 1 else ending}"


def at_place(name: str, place: str | None) -> str:
    """Return a layer's name with the place where it is applied.

    Example:
        >>> at_place("relu(fc1)", "train.py:12"), at_place("hidden.0", None)
        ('relu(fc1) (train.py:12)', 'hidden.0')
        >>> at_place("relu in train.py:12", "train.py:12")
        'relu in train.py:12'
    """
    return f"{name} ({place})" if place and not name.endswith(place) else name


def short(value: float) -> str:
    """Return a number with three digits and no zeros after them.

    Example:
        >>> short(0.1), short(46.067), short(1e-5)
        ('0.1', '46.1', '1e-05')
    """
    return f"{value:.3g}"


def times(ratio: float) -> str:
    """Return a ratio with two digits, or whole where it is large.

    Example:
        >>> times(8.41), times(0.0123), times(12345.6)
        ('8.4', '0.012', '12,346')
    """
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def size_shown(size: int) -> str:
    """Return a number of bytes with two digits or more.

    Example:
        >>> size_shown(512), size_shown(2048), size_shown(64 << 20)
        ('512 B', '2.0 KB', '64 MB')
    """
    amount, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
