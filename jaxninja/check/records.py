"""What a check finds, as records: findings, the verdict on a leaf, what was covered."""

from dataclasses import dataclass, field

LINEARITY = ("E-ZEROCOT", "E-ODD", "E-SCALE", "E-ADD")  # codes about the use of dy
SHADES = "·░▒▓█"  # of the error heat map: right, then a decade of tolerance each


@dataclass(frozen=True)
class Finding:
    """One statement about the rule as a whole.

    Attributes:
        code: "E-..." an error, "W-..." a warning, "N-..." nothing could be tested.
        sentence: what was given, what was expected, what to do.
        where: "file:line" in the user's code, if known.
    """

    code: str
    sentence: str
    where: str | None = None

    @property
    def severity(self) -> str:
        """By the code's first letter: "error", "warning" or "not tested"."""
        return {"E": "error", "W": "warning", "N": "not tested"}[self.code[0]]

    def __str__(self) -> str:
        at = (
            f" ({self.where})" if self.where and self.where not in self.sentence else ""
        )
        return f"{self.code}: {self.sentence}{at}"


@dataclass(frozen=True)
class Leaf:
    """The verdict on one float leaf of the arguments.

    Attributes:
        name: "x", or "params['W']" within a pytree.
        shape: of the sample shown.
        dtype: in which the rule ran where it failed; "" where it did not.
        verdict: "ok", "fail", "not tested" or "declared" (zero, or no gradient).
        relative: largest error over the largest expected magnitude: of the sample
            that failed, or, in float64, of all that could have failed.
        worst: index of the worst entry; got and expected are the values there.
        ratios: for each run dtype, the rule's error over that of autodiff, both the
            root mean square of all samples.
        sample: the input and cotangent that showed it.
        note: what else is to be said of it.
        heat: rows of `SHADES`, where the error of a failing 1-D or 2-D leaf lies.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    verdict: str
    relative: float = 0.0
    worst: tuple[int, ...] = ()
    got: complex = 0.0
    expected: complex = 0.0
    ratios: dict[str, float] = field(default_factory=dict)
    sample: str = ""
    note: str = ""
    heat: tuple[str, ...] = ()

    def __str__(self) -> str:
        shape = f"({', '.join(map(str, self.shape))})"
        start = f"  {self.name:10s} {self.verdict:10s} {shape}"
        if self.verdict == "fail" and self.sample:
            start += f" {self.dtype}   rel {self.relative:.2g}   worst "
            start += f"{list(self.worst)}: got "
            start += f"{self.got:.6g}, expected {self.expected:.6g}"
        elif self.verdict == "ok":
            start += f"   float64 {self.relative:.1e}"
        if self.verdict == "ok":
            for dtype, ratio in self.ratios.items():
                start += f"   {dtype} {ratio:.2f} x autodiff's error"
        start += f"   [{self.sample}]" if self.verdict == "fail" and self.sample else ""
        return start + (f"   {self.note}" if self.note else "")


@dataclass(frozen=True)
class Coverage:
    """How much of the rule the check has seen.

    Attributes:
        leaves: float leaves tested, and all of them.
        entries: gradient entries that were not zero at least once, and all of them.
        predicates: comparisons of the forward seen both true and false, and all.
        gaps: in words, what was not reached.
        tried: sizes and options beside the first ones.
    """

    leaves: tuple[int, int] = (0, 0)
    entries: tuple[int, int] = (0, 0)
    predicates: tuple[int, int] = (0, 0)
    dtypes: tuple[str, ...] = ()
    shapes: int = 0
    samples: int = 0
    transformations: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()

    def __str__(self) -> str:
        others = f" (tried: {'; '.join(self.tried)})" if self.tried else ""
        parts = [
            "{}/{} leaves".format(*self.leaves),
            "{}/{} entries".format(*self.entries),
            "{}/{} predicates both ways".format(*self.predicates),
            f"dtypes {' '.join(self.dtypes) or 'none'}",
            f"{self.shapes} shapes and options{others}, {self.samples} samples",
            f"transformations {' '.join(self.transformations) or 'none'}",
        ]
        return "covered: " + ", ".join(parts)


@dataclass(frozen=True)
class Residuals:
    """Bytes that wait between forward and backward.

    Attributes:
        bytes: of the rule's residuals.
        autodiff: of those that `jax.vjp` of the plain forward keeps.
        unused: names of residuals that bwd never reads.
    """

    bytes: int
    autodiff: int
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        unused = f", never read: {', '.join(self.unused)}" if self.unused else ""
        return f"residuals: {self.bytes} bytes, autodiff keeps {self.autodiff}{unused}"
