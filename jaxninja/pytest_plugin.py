"""A pytest plugin: backward passes as tests.

Three ways, all with `--vjp-level` and `--vjp-seed` of the run:

    pytest --vjp my_package.rules:RULES         # each rule of a catalogue is a test

    @pytest.mark.vjp(my_norm, example)          # checked before the test's own body
    def test_norm(): ...

    def test_by_hand(vjp_check):                # a call; it returns the report
        report = vjp_check(my_norm, x, gain, zero=("bias",))

Nothing heavy is imported before the first check, so the plugin costs a run of other
tests nothing.
"""

import inspect
import os
import random
import sys
import traceback
from typing import Any

import pytest

LEVELS = ("quick", "standard", "full")
SEEDS = 2**31  # an integer of 32 bits
DEVICES = 4  # at level full a CPU shows as several, so that sharding is tested


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("jaxninja", "hand-written backward passes")
    group.addoption(
        "--vjp",
        action="append",
        default=[],
        metavar="MODULE:RULES",
        help="a list of jaxninja Rules or custom_vjp checks: each becomes a test",
    )
    group.addoption("--vjp-level", choices=LEVELS, help="how much to try (standard)")
    group.addoption("--vjp-seed", metavar="N|random", help="seed of the checks (0)")
    parser.addini("vjp", "catalogues that become tests: MODULE:RULES", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "vjp(f, args=(), **options): check_vjp must say ok of f; args are its example "
        "arguments or a function that returns them; needs jaxninja",
    )
    if config.option.vjp_seed == "random" and not _is_worker(config):
        config.option.vjp_seed = str(random.SystemRandom().randrange(2**16))
    given = config.option.vjp_seed or "0"
    if not (given.isdecimal() and int(given) < SEEDS):
        raise pytest.UsageError(
            f"--vjp-seed is {given!r}, expected a number or random: 0 to {SEEDS - 1:,}"
        )
    if _level(config) == "full" and "jax" not in sys.modules:
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(DEVICES))


def pytest_report_header(config: pytest.Config) -> str | None:
    chosen = config.option.vjp or config.getini("vjp") or config.option.vjp_seed
    return f"jaxninja: {_replay(config)}" if chosen else None


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(session, config: pytest.Config, items: list) -> None:
    for place in dict.fromkeys((*config.getini("vjp"), *config.option.vjp)):
        for name, subject in _catalogue(place):
            item = RuleItem.from_parent(session, name=f"{place}[{name}]")
            item.subject = subject
            items.append(item)


class RuleItem(pytest.Item):
    """One rule of a catalogue."""

    subject: Any = None

    def runtest(self) -> None:
        _check(self.config, self.subject, (), {}, self.nodeid)

    def repr_failure(self, excinfo, style=None):
        from jaxninja.check import VJPCheckError

        if isinstance(excinfo.value, VJPCheckError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.nodeid.split("[")[0], None, self.name


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    __tracebackhide__ = True
    for mark in item.iter_markers("vjp"):
        marked: list[Any] = list(mark.args)
        if not 1 <= len(marked) <= 2:
            raise pytest.UsageError(
                f"{item.nodeid}: pytest.mark.vjp takes a function and its example "
                f"arguments, in one tuple, got {len(marked)} positional arguments"
            )
        given = marked[1] if len(marked) == 2 else ()
        given = given() if callable(given) else given
        args = tuple(given) if isinstance(given, tuple | list) else (given,)
        _check(item.config, marked[0], args, dict(mark.kwargs), item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """Of a function in a mark by itself pytest thinks that it is the test to mark, and
    calls it with the test below."""
    report = yield
    call = getattr(report, "call", None)
    if report.failed and call is not None and (name := _marked(call.excinfo.value)):
        report.longrepr = (
            f"{report.nodeid}: pytest.mark.vjp({name}) has no example arguments, "
            f"expected pytest.mark.vjp({name}, example): a tuple of the arguments of "
            f"{name}, or a function that returns it"
        )
    return report


def _marked(error: BaseException | None) -> str | None:
    """The name of what was marked in place of a test, and then raised the error."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            for name, value in list(frame.f_locals.items()):
                marks = inspect.getattr_static(value, "pytestmark", None)
                bare = [m for m in marks if not m.args] if type(marks) is list else []
                if "vjp" in [m.name for m in bare] and not name.startswith("test"):
                    return getattr(value, "__name__", name)
        error = error.__cause__ or error.__context__
    return None


@pytest.fixture
def vjp_check(request: pytest.FixtureRequest):
    """`vjp_check(f, *args, **options) -> Report`; fails the test unless it is ok."""

    def check(f, *args, **options):
        __tracebackhide__ = True
        return _check(request.config, f, args, options, request.node.nodeid)

    return check


def _check(config: pytest.Config, subject, args, options: dict, nodeid: str):
    __tracebackhide__ = True
    from jaxninja.check import VJPCheckError, check_vjp
    from jaxninja.errors import ArgumentError, ArgumentTypeError

    chosen: dict[str, Any] = {"level": _level(config), "seed": _seed(config)}
    chosen |= options
    try:
        report = check_vjp(subject, *args, **chosen)
    except (ArgumentError, ArgumentTypeError) as error:  # of the call, and no more
        raise error.with_traceback(None) from None
    if not report.ok:
        again = f"--vjp-level {report.level} --vjp-seed {report.seed}"
        raise VJPCheckError(f"{report.table()}\nagain: pytest {nodeid!r} {again}")
    return report


def _catalogue(place: str) -> list[tuple[str, Any]]:
    """Names and rules of MODULE:RULES."""
    from jaxninja import lookup

    try:
        found = lookup.find(place, "--vjp")
    except lookup.PlaceError as error:
        raise pytest.UsageError(str(error)) from None
    try:
        rules = list(found)
    except TypeError:
        kind = type(found).__name__
        raise pytest.UsageError(
            f"--vjp {place!r} is of type {kind}, expected a list of rules"
        ) from None
    if not rules:
        raise pytest.UsageError(f"--vjp {place!r} holds no rules")
    return [(getattr(rule, "name", str(i)), rule) for i, rule in enumerate(rules)]


def _level(config: pytest.Config) -> str:
    return config.option.vjp_level or "standard"


def _seed(config: pytest.Config) -> int:
    return int(config.option.vjp_seed or 0)


def _replay(config: pytest.Config) -> str:
    return f"--vjp-level {_level(config)} --vjp-seed {_seed(config)}"


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")  # of pytest-xdist, which copies the options
