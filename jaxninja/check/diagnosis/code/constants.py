"""Names for constants: 7 is `x.shape[0]`, 7/6 is n/(n-1) for that n."""

from collections.abc import Iterable, Iterator

import numpy as np

from jaxninja.check.hints import Number

CLOSE = 5e-6  # of numbers to six digits


def sizes(arrays: Iterable[tuple[str, np.ndarray]]) -> dict[int, str]:
    """Every axis length greater than one, and what it is the length of."""
    found: dict[int, str] = {}
    for name, array in arrays:
        shape = np.shape(array)
        for axis, n in enumerate(shape):
            found.setdefault(n, f"{name}.shape[{axis}]")
        if len(shape) > 1:
            found.setdefault(int(np.prod(shape)), f"{name}.size")
    return {n: name for n, name in found.items() if n > 1}


def numbers_of(subject) -> dict[int, str]:
    """The static options that are positive numbers, by name."""
    names = getattr(subject, "static_names", ())
    given = zip(subject.static, names, strict=False)
    return {v: name for v, name in given if type(v) in (int, float) and v > 0}


def constant_name(value: float, lengths: dict[int, str]) -> str | None:
    """What a constant is, if it is one of the usual ones."""
    return next(constant_names(value, lengths), None)


def constant_names(value: float, lengths: dict[int, str]) -> Iterator[str]:
    """All that a constant may be, the simplest first."""
    for sign, prefix in ((1.0, ""), (-1.0, "-")):
        for name in _positive(sign * value, lengths):
            yield prefix + name


def _positive(value: float, lengths: dict[int, str]) -> Iterator[str]:
    table = {"1": 1.0, "2": 2.0, "1/2": 0.5, "0": 0.0}
    for n, name in lengths.items():
        table |= {name: n, f"1/{name}": 1 / n}
    for m, count in lengths.items():
        if count.startswith("sum("):  # what a mask keeps, of a size
            for n, name in lengths.items():
                table |= {f"{count}/{name}": m / n, f"{name}/{count}": n / m}
    table |= {"3": 3.0, "1/3": 1 / 3, "4": 4.0, "1/4": 0.25, "3/2": 1.5, "2/3": 2 / 3}
    for n, name in lengths.items():
        if n != 1:  # an option
            table[f"n/(n-1), n = {name}"] = n / (n - 1)
            table[f"1/({name} - 1)"] = 1 / (n - 1)
        table[f"(n-1)/n, n = {name}"] = (n - 1) / n
        table[f"({name} - 1)"] = n - 1
        table[f"sqrt({name})"] = n**0.5
        table[f"1/sqrt({name})"] = n**-0.5
    table |= {"log(2)": np.log(2), "1/log(2)": 1 / np.log(2), "pi": np.pi}
    yield from (t for t, x in table.items() if _near(value, x))
    yield from _products(value, lengths)


def _products(value: float, lengths: dict[int, str]) -> Iterator[str]:
    pairs = list(lengths.items())
    for i, (n, first) in enumerate(pairs):
        for m, second in pairs[i:]:
            for text, x in (
                (f"{first} * {second}", n * m),
                (f"1/({first} * {second})", 1 / (n * m)),
                (f"{first}/{second}", n / m),
                (f"{second}/{first}", m / n),
                (f"sqrt({first} * {second})", (n * m) ** 0.5),
                (f"1/sqrt({first} * {second})", (n * m) ** -0.5),
            ):
                if _near(value, x):
                    yield text


def follow(
    one: Number, other: Number, ours: dict[int, str], theirs: dict[int, str]
) -> Number | None:
    """The number that is one at our sizes and the other at theirs; None if none is.

    If both are equal it is a number, not a size; if not, it is a size in both.
    """
    known = set(constant_names(other.value, theirs))
    if _near(one.value, other.value):
        kept = one.sure and one.name in known
        return one if kept else Number(one.value, constant_name(one.value, {}))
    names = (name for name in constant_names(one.value, ours) if name in known)
    name = next(names, None)
    return None if name is None else Number(one.value, name, True)


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= CLOSE * abs(b)


def number(value: float, lengths: dict[int, str]) -> Number:
    """The constant and what it looks like, if it is one of the usual ones."""
    return Number.of(value, constant_name(value, lengths))
