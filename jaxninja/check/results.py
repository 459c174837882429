"""What one run of the checker gathers, and how it becomes a report."""

import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.advice import advised
from jaxninja.check.compare import difference
from jaxninja.check.errors import UserCodeError
from jaxninja.check.hints import Hint
from jaxninja.check.inputs.order import Order
from jaxninja.check.inputs.setting import Setting
from jaxninja.check.oracle.tolerances import Tally, Trial, as_zero
from jaxninja.check.oracle.trial import Evaluation, Setup
from jaxninja.check.oracle.truth import predicate_lines, rule_predicates
from jaxninja.check.records import LINEARITY, Coverage, Finding, Leaf, Residuals
from jaxninja.check.report import Report
from jaxninja.check.subject.pytrees import is_wide
from jaxninja.check.subject.subject import Subject
from jaxninja.check.unreached import gaps

KEPT = 10_000  # entries of the gradients of a sample that is kept


@dataclass(frozen=True)
class Options:
    """What the user asked for and declared; see `check_vjp`."""

    level: str = "standard"
    seed: int = 0
    dtypes: tuple[str, ...] = ("float32",)
    surrogate: Callable | None = None
    nondiff: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()
    linear: bool = True
    kink: str = "any-subgradient"
    edges: bool = True
    higher_order: bool = True
    hints: bool = True
    double: bool = False  # arguments are float64, and JAX keeps them so


class Checked(NamedTuple):
    """A sample in float64, and the leaves that were judged there."""

    setup: Setup
    evaluation: Evaluation
    judged: tuple[str, ...]
    edge: bool


@dataclass
class Session:
    """Tallies of leaves, findings and coverage, while the check runs."""

    options: Options
    name: str = "f"
    where: str | None = None
    at: str = ""
    start: float = field(default_factory=time.perf_counter)
    tallies: dict[str, Tally] = field(default_factory=dict)
    findings: dict[tuple, Finding] = field(default_factory=dict)
    not_tested: list[str] = field(default_factory=list)
    failing: list[tuple[Setup, Evaluation]] = field(default_factory=list)
    rounding: list[tuple[Setup, Evaluation]] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)  # in float64, right or wrong
    predicates: dict[str | int, np.ndarray] = field(default_factory=dict)
    usual: dict[tuple, np.ndarray] = field(default_factory=dict)  # of (line, number)
    dtypes: list[str] = field(default_factory=list)
    samples: int = 0
    transformations: list[str] = field(default_factory=list)
    residuals: Residuals | None = None
    settings: dict[str, Setting] = field(default_factory=dict)
    nones: dict[str, None] = field(default_factory=dict)  # names, in their order
    plainly_wrong: set[str] = field(default_factory=set)  # leaves, at no edge
    coarse: dict[Subject, tuple[float, float]] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)  # arguments, by name
    order: Order = field(default_factory=Order)  # that arguments keep
    constant: set[str] = field(default_factory=set)  # leaves, by the surrogate
    fades: bool = False  # the forward approximates, and no longer at large inputs
    misled: bool = False  # the values of the forward tell the truth, not its gradient

    def find(self, code: str, sentence: str, where: str | None = None) -> None:
        """Note a finding once; later ones of the same code and line add nothing."""
        sentence = f"{sentence} ({self.at})" if self.at else sentence
        self.findings.setdefault((code, where), Finding(code, sentence, where))

    def stands_at(self, code: str) -> bool:
        """Whether there is a finding of this code."""
        return any(finding.code == code for finding in self.findings.values())

    def stopped_by(self, error: UserCodeError) -> None:
        """Note what was raised. In float64 alone, which the user's program does not run
        in, it is no mistake: a loop whose carry is cast to float32, say."""
        narrow = jnp.result_type(float) != jnp.float64
        if not (error.code == "E-RAISE" and error.wide and narrow):
            self.find(error.code, error.sentence, error.where)
            return
        text = f"nothing can be proved in float64, in which {error.sentence}; it runs "
        text += "in float32: leave out casts to it, or give a reference="
        self.find("N-CAST", text, error.where)

    def note_nones(self, names: Iterable[str]) -> None:
        """Note for which arguments bwd returns None without leave to do so."""
        given = [name for name in names if name not in self.options.nondiff]
        self.nones |= dict.fromkeys(given)

    def locate(self, hints: Iterable[Hint]) -> None:
        """Findings about dy get the line at which a hint saw linearity end."""
        where = next(
            (h.where for h in hints if h.kind in ("cotangent", "affine")), None
        )
        for key, finding in list(self.findings.items()):
            if where and finding.code in LINEARITY:
                self.findings[key] = replace(finding, where=where)

    def skip(self, text: str) -> None:
        if text not in self.not_tested:
            self.not_tested.append(text)

    def ignores(self, leaf: str) -> bool:
        lent = (setting.lent for setting in self.settings.values())
        declared = (*self.options.nondiff, *lent)
        return leaf.split("[")[0] in declared or leaf in declared

    def is_wrong(self, leaf: str) -> bool:
        """Whether a leaf is wrong to first order."""
        tally = self.tallies.get(leaf)
        worst = None if tally is None else tally.worst
        return worst is not None and is_wide(worst[0].dtype)

    def follows(self, leaf: str, what: str) -> bool:
        """Whether a leaf is wrong to first order: then no more is said of it."""
        if self.is_wrong(leaf):
            self.skip(f"{what} of d{leaf}: it is wrong without them")
            return True
        return False

    def declares_zero(self, leaf: str) -> bool:
        return _declares(self.options.zero, leaf)

    def _is_zero(self, tally: Tally) -> bool:
        """Declared zero by name, or by a surrogate that returns zeros at any input."""
        by_surrogate = tally.name in self.constant and tally.always_zero
        return by_surrogate or self.declares_zero(tally.name)

    def not_shared(self, evaluation: Evaluation) -> list[str]:
        """Names of the leaves that have no share in what is right at a kink: nobody
        asks for their gradients, or these are wrong where there is none."""
        names = (trial.name for trial in evaluation.trials)
        return [n for n in names if n in self.plainly_wrong or self.ignores(n)]

    def is_open(self, trial: Trial) -> bool:
        """Whether anything about this leaf is still to be decided."""
        tally = self.tallies.get(trial.name)
        return not self.ignores(trial.name) and (tally is None or tally.worst is None)

    def record(
        self,
        setup: Setup,
        evaluation: Evaluation,
        judged: Iterable | None = None,
        edge: bool = False,
    ) -> bool:
        """Add a trial's leaves to the tallies; whether all of them agree."""
        self.samples += 1
        right = True
        judged = evaluation.trials if judged is None else list(judged)
        self._keep(setup, evaluation, judged, edge)
        for trial in judged:
            if not self.ignores(trial.name):
                tally = self.tallies.setdefault(trial.name, Tally(trial.name))
                if self.declares_zero(trial.name):
                    trial = as_zero(trial, evaluation.trials)
                if not tally.add(trial).ok:
                    right = False
                    self.plainly_wrong |= set() if edge else {trial.name}
        if not right and evaluation.trials and evaluation.trials[0].dtype == "float64":
            self.failing.append((setup, evaluation))
        elif not right and evaluation.trials:
            self.rounding.append((setup, evaluation))
        self._forward(setup, evaluation)
        return right

    def _keep(self, setup, evaluation: Evaluation, judged, edge: bool) -> None:
        """Small samples of the proof: a fix is tried on each of them."""
        trials = evaluation.trials
        small = sum(np.size(t.got) for t in trials) <= KEPT
        if trials and trials[0].dtype == "float64" and small:
            names = tuple(t.name for t in judged if not self.ignores(t.name))
            self.checked.append(Checked(setup, evaluation, names, edge))

    def _forward(self, setup: Setup, evaluation: Evaluation) -> None:
        for trial in evaluation.forward:
            found = difference(trial.got, trial.expected, trial.tolerance)
            if not found.ok:
                at = f"{list(found.worst)} in {trial.dtype} [{trial.sample}]"
                text = (
                    f"the value that fwd returns is not that of the plain forward: "
                    f"{found.got:.6g} against {found.expected:.6g} at {at}; JAX uses "
                    "fwd's value under grad, and the plain one otherwise"
                )
                self.find("E-FWD", text, setup.subject.where)

    def watch(self, setup: Setup, evaluation: Evaluation, usual: bool = False) -> None:
        """Note which comparisons, of forward and rule, were ever true, ever false; at
        usual inputs by themselves, for far from them little but a side may be left."""
        if setup.differences:
            return
        with jax.enable_x64(True):
            lines = predicate_lines(setup.subject, evaluation.args)
            seen = list(zip(lines, evaluation.truth.predicates, strict=True))
            first = setup.label == next(iter(self.settings))  # it is compiled once more
            if first and not setup.subject.is_numpy:
                given = (evaluation.args, evaluation.dy)
                seen += rule_predicates(setup.subject, *given)
        for i, (line, found) in enumerate(seen):
            before = self.predicates.get(line or i, np.zeros(2, bool))
            self.predicates[line or i] = before | np.asarray(found)
            if usual and line:
                own = line, [place for place, _ in seen[:i]].count(line)
                before = self.usual.get(own, np.zeros(2, bool))
                self.usual[own] = before | np.asarray(found)

    def one_sided(self) -> set[str]:
        """Lines with comparisons that went one way at all usual inputs so far."""
        return {line for (line, _), seen in self.usual.items() if not seen.all()}

    def coverage(self) -> Coverage:
        tested = [t for t in self.tallies.values() if t.trials and t.powered]
        entries = [t.entries for t in self.tallies.values()]
        counts = [(t.name, *t.entries) for t in self.tallies.values()]
        both = [seen.all() for seen in self.predicates.values()]
        return Coverage(
            (len(tested), len(self.tallies)),
            (sum(n for n, _ in entries), sum(n for _, n in entries)),
            (sum(map(bool, both)), len(both)),
            tuple(dict.fromkeys(self.dtypes)),
            len(self.settings),
            self.samples,
            tuple(self.transformations),
            tuple(gaps(self.predicates, counts)),
            tuple(self.settings)[1:],
        )

    def leaves(self) -> tuple[Leaf, ...]:
        found = map(self._leaf, self.tallies.values())
        ignored = [
            Leaf(name, (), "", "declared", note="declared nondiff: not compared")
            for name in self.options.nondiff
        ]
        return (*found, *ignored)

    def _leaf(self, tally: Tally) -> Leaf:
        leaf = tally.leaf(self._is_zero(tally), False)
        if tally.worst is None:
            return leaf
        at_edges = self.options.edges and tally.name not in self.plainly_wrong
        setting = self.settings.get(tally.worst[0].setting)
        at_sizes = setting is not None and setting.guessed and not setting.option
        return advised(leaf, at_sizes, at_edges)

    def report(self, hints: tuple[Hint, ...] = ()) -> Report:
        order = {"error": 0, "not tested": 1, "warning": 2}
        findings = sorted(self.findings.values(), key=lambda f: order[f.severity])
        return Report(
            self.name,
            self.where,
            self.options.level,
            self.options.seed,
            self.leaves(),
            tuple(findings),
            hints,
            tuple(self.not_tested),
            self.coverage(),
            self.residuals,
            time.perf_counter() - self.start,
            environment(),
        )


def _declares(declared: tuple[str, ...], leaf: str) -> bool:
    return leaf in declared or leaf.split("[")[0] in declared


def environment() -> dict[str, str]:
    return {
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "backend": jax.default_backend(),
        "machine": platform.machine(),
    }
