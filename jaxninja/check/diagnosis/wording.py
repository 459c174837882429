"""What was found as hints: the statement, the line, the edit that fixes it."""

from dataclasses import replace

from jaxninja.check.diagnosis.code.constants import number
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.source import return_place
from jaxninja.check.diagnosis.edits.single import Fix
from jaxninja.check.diagnosis.forward.search import Twin
from jaxninja.check.diagnosis.reference import Path
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import Hint, Place, Statement, listed, say


def hint_of(
    problem: Problem, leaf: int, kind: str, statement: Statement, verified: bool = True
) -> Hint:
    name, where = problem.sample.names[leaf], made_at(problem, leaf)
    return Hint(statement, kind, verified, name, where)


def made_at(problem: Problem, leaf: int) -> str | None:
    """The line that computes a leaf, else the one that returns it."""
    place = None
    if problem.program is not None:
        maker = problem.maker_of(leaf)
        place = problem.place_of(*maker) if maker is not None else None
    place = place or return_place(problem.subject.source)
    return str(place) if place is not None else None


def joined(problem: Problem, hint: Hint, fixes: list[Fix]) -> Hint:
    """The hint with the line and the edit of the fix of its leaf."""
    leaf = problem.sample.names.index(hint.leaf)
    fix = next((m for m in fixes if leaf in m.leaves and not m.options), None)
    if fix is None:
        return hint
    where = str(fix.where) if fix.where else hint.where
    return replace(hint, where=where, change=fix.change)


def distinct(fixes: list[Fix]) -> list[Fix]:
    """The best fix of each leaf; of one leaf, or of all at once, the two best."""
    found: dict[tuple, Fix] = {}
    for fix in fixes:
        found.setdefault((fix.leaves, fix.subject, fix.edit.what), fix)
    best = {fix.leaves: fix for fix in reversed(found.values())}
    return list(found.values())[:2] if len(best) == 1 else list(reversed(best.values()))


def others(problem: Problem, fresh: Problem, fixes: list[Fix]) -> list[Hint]:
    """A second edit beside a hint that has one: the reader picks the simpler."""
    given = {leaf: m.change for m in reversed(fixes) for leaf in m.leaves}
    for fix in fixes[1:]:
        if fix.change not in given.values():  # two steps of a line may be alike
            hint = fixed(problem, fresh, fix)
            statement = say("fixed, too", leaves=problem.leaf_names(fix.leaves))
            return [replace(hint, statement=statement) if hint.verified else hint]
    return []


def fixed(problem: Problem, fresh: Problem, fix: Fix) -> Hint:
    where = str(fix.where) if fix.where else None
    leaves = problem.leaf_names(fix.leaves)
    edit = {"subject": fix.subject, "edit": fix.edit.what}
    statement = say("fixed", leaves=leaves, **edit)
    if fix.edges:
        edges = listed(list(fix.edges))
        statement = say("fixed, not at", leaves=leaves, **edit, edges=edges)
    if fix.options:
        options = listed(list(fix.options))
        statement = say("fixed, not with", leaves=leaves, **edit, options=options)
    proved = fix.leaves <= fresh.wrong  # else the edit was not put to the test there
    return Hint(statement, fix.edit.kind, proved, leaves[0], where, fix.change)


def twin(problem: Problem, found: Twin) -> Hint:
    leaves, edit = problem.leaf_names(found.leaves), found.edit
    edges = say("but at", edges=listed(list(found.edges))) if found.edges else ""
    facts = {"subject": found.subject, "edit": edit.what, "edges": edges}
    statement = say("nearby", leaves=leaves, **facts)
    where = str(found.where) if found.where else None
    return Hint(statement, edit.kind, True, leaves[0], where)


def derived(problem: Problem, leaves: tuple[str, ...], fix: Fix) -> Hint:
    facts = {"leaves": leaves, "spot": fix.where or fix.subject}
    statement = say("derived", **facts, edit=fix.edit.what)
    return hint_of(problem, min(fix.leaves), fix.edit.kind, statement)


def twice(problem: Problem, fresh: Problem, first: Fix, second: Fix) -> Hint:
    one, both = fixed(problem, fresh, first), (first.change, second.change)
    edits = dict(zip(("first", "second"), both, strict=True))
    leaves = problem.leaf_names(first.leaves)
    statement = say("fixed by two", leaves=leaves, **edits)
    return replace(one, statement=statement, change=say("both", **edits))


def of_cast(problem: Problem, step: int, dtype: str) -> Hint:
    place = problem.place_of(step)
    leaves, spot = problem.leaf_names(problem.wrong), place or "one value"
    statement = say("cast", leaves=leaves, spot=spot, dtype=dtype)
    made = hint_of(problem, min(problem.wrong), "precision", statement)
    return replace(made, where=str(place) if place else made.where)


def without_both(one: Path, two: Path, leaves: tuple[str, ...]) -> Found:
    """Two paths left out."""
    first, second = _spot(one), _spot(two)
    both = first if first == second else say("and through", one=first, other=second)
    return "term", say("no path, two", leaves=leaves, spots=both)


def _spot(path: Path) -> Place | str:
    return path.where or "a line that is not known"


def changed(path: Path, leaves: tuple[str, ...]) -> Found:
    """A path left out, taken twice, or otherwise multiplied."""
    spot = _spot(path)
    spot = say("subtracted", spot=spot) if path.minus and not path.inner else spot
    if path.turn is not None:
        turn, turns = path.turn
        spot = say("in turn", spot=spot, turn=turn, turns=turns)
    facts, factor = {"leaves": leaves, "spot": spot}, number(path.factor, {})
    if abs(path.factor) < 1e-7:
        inner = path.inner
        return ("path", say("no term", **facts)) if inner else (
            "term", say("no path", **facts)
        )  # fmt: skip
    if factor.name == "-1":
        return "sign", say("path, negated", **facts)
    if factor.name == "2":
        return "ratio", say("path twice", **facts)
    return "ratio", say("path times", **facts, factor=factor)
