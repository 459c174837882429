"""Rules broken in known ways: one or two edits of a correct backward each.

`candidates(rule)` lists the edits that can be tried; `classify` runs one on fresh
float64 samples and says what became of it:

    "mutant"          some gradient is off by more than 1e-6 of its largest entry
    "equivalent"      it computes the same (or cannot be told apart by that margin)
    "does not run"    it raises, or returns other shapes
    "does not apply"  the edit needs shapes that no case of the rule has

All of it is deterministic: samples, order and the pairs of double edits follow from
fixed seeds, which are not those of any checker under test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark import recipes
from experiments.checker_benchmark.samples import Sample, different, samples
from jaxninja.mutation.enumeration import changes, with_edits
from jaxninja.mutation.operators import is_float
from jaxninja.mutation.rewrite import Edit
from jaxninja.rule import Rule


@dataclass(frozen=True)
class Mutant:
    """A rule and what is wrong with it.

    Attributes:
        rule: the correct rule.
        edits: one edit, or two.
        truths: what a checker may call it (see README: the classes of names).
        lines: source lines of the edits in the file of the rule; empty if the mistake
            has no place in the backward.
        order: 2 if only second derivatives are wrong.
    """

    rule: Rule
    edits: tuple[Edit, ...]
    truths: frozenset[str]
    order: int = 1

    @property
    def name(self) -> str:
        parts = [f"{e.operator} at {' '.join(map(str, e.site))}" for e in self.edits]
        return f"{self.rule.name}: {' and '.join(parts)}"

    @property
    def operator(self) -> str:
        return " and ".join(edit.operator for edit in self.edits)

    @property
    def double(self) -> bool:
        return len(self.edits) > 1

    @property
    def lines(self) -> frozenset[int]:
        return frozenset().union(*(edit.lines for edit in self.edits))

    def broken(self) -> Rule:
        """The wrong rule: same forward, same names, the op rebuilt around the edits."""
        rule = self.rule
        for edit in self.edits:
            if edit.place == "rule":
                rule = edit.change(rule)
        local = tuple(edit for edit in self.edits if edit.place != "rule")
        return rebuilt(
            rule, rule.fwd, with_edits(rule.bwd, local) if local else rule.bwd
        )


def rebuilt(rule: Rule, fwd, bwd) -> Rule:
    """The rule around another fwd and bwd."""
    op = jax.custom_vjp(rule.reference, nondiff_argnums=rule.op.nondiff_argnums)
    op.defvjp(fwd, bwd)
    return replace(rule, op=op, fwd=fwd, bwd=bwd)


def candidates(rule: Rule, doubles: int = 12) -> list[Mutant]:
    """Every single edit that may apply, and pairs of them drawn by a fixed seed."""
    singles = [*_local(rule), *_whole(rule)]
    local = [m for m in singles if m.edits[0].place != "rule" and m.order == 1]
    rng = np.random.default_rng(sum(map(ord, rule.name)))
    pairs: dict[str, Mutant] = {}
    for _ in range(4 * doubles):
        first, second = (local[i] for i in rng.choice(len(local), 2, replace=False))
        if first.edits[0].site != second.edits[0].site and len(pairs) < doubles:
            pair = Mutant(
                rule, first.edits + second.edits, first.truths | second.truths
            )
            pairs.setdefault(pair.name, pair)
    return [*singles, *pairs.values()]


def _local(rule: Rule) -> Iterator[Mutant]:
    sample = next(samples(rule))
    with jax.enable_x64(True):
        found = list(changes(rule.bwd, sample.static, sample.residuals, sample.dy))
    for change in found:
        yield Mutant(rule, (change.edit,), frozenset({change.truth}), change.order)


def _whole(rule: Rule) -> Iterator[Mutant]:
    for op in recipes.RULE_OPERATORS:
        if op.change(rule) is not None:
            edit = Edit(op.name, "rule", ("rule",), op.change)
            yield Mutant(rule, (edit,), frozenset({op.truth}))


def classify(mutant: Mutant) -> str:
    """Run the mutant on the samples of its rule: see the head of this file."""
    applied: list[bool] = []
    noted = replace(mutant, edits=tuple(_noting(e, applied) for e in mutant.edits))
    try:
        rule = noted.broken()
        with jax.enable_x64(True):
            for sample in samples(mutant.rule):
                if _judge(mutant, rule, sample):
                    return "mutant"
    except Exception:  # whatever a wrong backward raises: it is counted, not hidden
        return "does not run"
    return "equivalent" if any(applied) else "does not apply"


def _noting(edit: Edit, applied: list[bool]) -> Edit:
    """The edit, which also writes down whether it changed anything."""

    def change(*args):
        new = edit.change(*args)
        applied.append(new is not None)
        return new

    return replace(edit, change=change)


def _judge(mutant: Mutant, rule: Rule, sample: Sample) -> bool:
    """Whether the sample tells the two apart."""
    if mutant.order == 2:
        return second_order(rule, sample) != second_order(mutant.rule, sample)
    value, residuals = sample.value, sample.residuals
    if rule.fwd is not mutant.rule.fwd:
        value, residuals = rule.fwd(*sample.args, *sample.static)
    grads = rule.bwd(*sample.static, residuals, sample.dy)
    return different(value, sample.value) or different(grads, sample.grads)


def second_order(rule: Rule, sample: Sample) -> float:
    """A number that depends on the derivative of the backward by the arguments."""
    floats = [i for i, a in enumerate(sample.args) if _all_floats(a)]

    def size(*active):
        args = list(sample.args)
        for i, a in zip(floats, active, strict=True):
            args[i] = a
        _, residuals = rule.fwd(*args, *sample.static)
        grads = jax.tree.leaves(rule.bwd(*sample.static, residuals, sample.dy))
        return sum(jnp.sin(g).sum() for g in grads)

    active = [sample.args[i] for i in floats]
    slope = jax.grad(size, argnums=tuple(range(len(active))))(*active)
    return round(float(sum(jnp.sin(a).sum() for a in jax.tree.leaves(slope))), 6)


def _all_floats(tree) -> bool:
    return all(is_float(a) for a in jax.tree.leaves(tree))


def mutants(rules: Sequence[Rule]) -> Iterator[Mutant]:
    """All mutants of the rules that are neither equivalent nor broken outright."""
    for rule in rules:
        yield from (m for m in candidates(rule) if classify(m) == "mutant")


def subset(rules: Sequence[Rule], count: int, seed: int = 0) -> list[Mutant]:
    """`count` mutants in which all operators take turns, in an order by the seed."""
    rng = np.random.default_rng(seed)
    queues: dict[str, list[Mutant]] = {}
    for mutant in (m for rule in rules for m in candidates(rule)):
        kind = "double" if mutant.double else mutant.operator
        queues.setdefault(kind, []).append(mutant)
    turns = [queues[name] for name in rng.permutation(sorted(queues))]
    for queue in turns:
        rng.shuffle(queue)  # type: ignore[arg-type]
    found: list[Mutant] = []
    for queue in cycle(turns):
        if len(found) == count or not any(turns):
            break
        found += _next_good(queue)
    return found


def _next_good(queue: list[Mutant]) -> list[Mutant]:
    """The next of the queue that is a mutant indeed; none if the queue runs out."""
    while queue:
        mutant = queue.pop()
        if classify(mutant) == "mutant":
            return [mutant]
    return []
