"""What convolutions and pooling ask of their arguments."""

from jaxninja.rule import expect, expect_floats
from jaxninja.rules.convolution.products import Window


def window(op, x, w, b, stride, padding, dilation, groups) -> Window:
    """The window, once all fits together; ValueError if not."""
    _shapes(op, x, w, b)
    axes = x.ndim - 2
    stride = _numbers(op, "stride", stride, axes, 1)
    padding = _numbers(op, "padding", padding, axes, 0)
    dilation = _numbers(op, "dilation", dilation, axes, 1)
    C, O = x.shape[-1], w.shape[-1]
    whole = isinstance(groups, int) and groups >= 1
    fits = whole and C % groups == O % groups == 0
    text = f"a divisor of x's {C} channels and w's {O}"
    expect(op, "groups", repr(groups), text, fits)
    text = f"{[*w.shape[:-2], C // groups, O]}, as x is {x.shape} in {groups} groups"
    fits = w.shape[-2] * groups == C
    expect(op, "w", f"of shape {w.shape}", text, fits)
    reach = [(K - 1) * d + 1 for K, d in zip(w.shape, dilation, strict=False)]
    _long_enough(op, x, reach, padding)
    return Window(stride, tuple((p, p) for p in padding), dilation, groups)


def causal_window(op, x, w, b, dilation) -> Window:
    """Padded so that y[t] sees x up to t; the groups are what w's shape says."""
    _shapes(op, x, w, b)
    (dilation,) = _numbers(op, "dilation", dilation, 1, 1)
    K, part, O = w.shape
    C = x.shape[-1]
    fits = C % part == 0 and O % (C // part) == 0
    text = f"[K, {C} / groups, O] with groups that divide O, as x is {x.shape}"
    expect(op, "w", f"of shape {w.shape}", text, fits)
    return Window((1,), (((K - 1) * dilation, 0),), (dilation,), C // part)


def pool(op, x, size, stride) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size and stride of each axis, once all fits together; ValueError if not."""
    given = f"of shape {x.shape}"
    expect(op, "x", given, "[N, H, W, C], not empty", x.ndim == 4 and x.size > 0)
    expect_floats(op, x=x)
    size = _numbers(op, "size", size, 2, 1)
    stride = size if stride is None else _numbers(op, "stride", stride, 2, 1)
    _long_enough(op, x, size, (0, 0))
    (rows, columns), (down, right) = size, stride
    return (rows, columns), (down, right)


def _shapes(op, x, w, b):
    arrays = {"x": x, "w": w} if b is None else {"x": x, "w": w, "b": b}
    expect_floats(op, **arrays)
    lengths, kernel = ("T", "K") if op.endswith("1d") else ("H, W", "K, L")
    dims = 2 + len(lengths.split(","))
    fits = x.ndim == dims and x.size > 0
    expect(op, "x", f"of shape {x.shape}", f"[N, {lengths}, C], not empty", fits)
    fits = w.ndim == dims and w.size > 0
    expect(op, "w", f"of shape {w.shape}", f"[{kernel}, C / groups, O]", fits)
    if b is not None:
        given, O = f"of shape {b.shape}", w.shape[-1]
        expect(op, "b", given, f"[{O}], as w is {w.shape}", b.shape == (O,))


def _numbers(op, name, value, axes, least) -> tuple[int, ...]:
    """One number an axis; a single one stands for all."""
    values = value if isinstance(value, tuple) else (value,) * axes
    whole = all(isinstance(v, int) and v >= least for v in values)
    many = "" if axes == 1 else f", or {axes} of them"
    text = f"an integer of {least} or more{many}"
    expect(op, name, repr(value), text, whole and len(values) == axes)
    return values


def _long_enough(op, x, reach, padding):
    lengths = zip(x.shape[1:], reach, padding, strict=False)
    fits = all(L + 2 * p >= K for L, K, p in lengths)
    text = f"at least {[*reach]} long with its padding, as the window reaches so far"
    expect(op, "x", f"of shape {x.shape}", text, fits)
