"""`jaxninja check`: verdicts, what may be declared, and what makes no sense."""

import json
import re

import pytest

from tests.cli.command import run

MY_RULE = """
import jax, jax.numpy as jnp

def halves(x):
    return x / 2

@jax.custom_vjp
def right(x):
    return halves(x)

right.defvjp(lambda x: (halves(x), None), lambda _, dy: (dy / 2,))

@jax.custom_vjp
def wrong(x):
    return halves(x)

wrong.defvjp(lambda x: (halves(x), None), lambda _, dy: (dy / 4,))

def arguments():
    return (jnp.linspace(-1.3, 2.2, 12).reshape(3, 4),)

def raises(x):
    raise RuntimeError("lost")

def leaves(x):
    raise SystemExit(3)
"""


def test_check_has_an_exit_code_for_each_verdict(capsys, tmp_path, monkeypatch):
    (tmp_path / "my_rules.py").write_text(MY_RULE)
    monkeypatch.chdir(tmp_path)
    options = ("--args", "my_rules:arguments", "--level", "quick")
    code, out, _ = run(capsys, "check", "my_rules:right", *options)
    assert (code, "OK" in out) == (0, True), out
    code, out, _ = run(capsys, "check", "my_rules:wrong", *options)
    assert (code, "FAIL" in out) == (1, True), out
    code, out, _ = run(capsys, "check", "my_rules:wrong", *options, "--json")
    assert json.loads(out)[0]["verdict"] == "fail"
    code, out, _ = run(capsys, "check", "my_rules:raises", *options)
    assert (code, "RuntimeError at my_rules.py:23: lost" in out) == (2, True), out
    code, _, err = run(capsys, "check", "my_rules:leaves", *options)
    assert (code, "SystemExit at my_rules.py:26: 3" in err) == (2, True), err
    code, out, _ = run(capsys, "check", "my_rules:halves", *options)
    assert (code, "N-NORULE: no gradient to check" in out) == (3, True), out
    code, out, _ = run(capsys, "check", "tanh", "--level", "quick")
    assert code == 0


DECLARED = """
import jax
import jax.numpy as jnp

@jax.custom_vjp
def rounded(x, w):
    return jnp.round(x) + 0 * w

def bwd(w, dy):
    return dy, jnp.zeros_like(w)

rounded.defvjp(lambda x, w: (rounded.fun(x, w), w), bwd)

@jax.custom_vjp
def clipped(x):
    return 2 * x

clipped.defvjp(lambda x: (2 * x, None), lambda _, dy: (2 * jnp.clip(dy, -1, 1),))

def straight(args, dy):
    return dy, jnp.zeros_like(args[1])

def linear(x, w):
    return x + 0 * w

def one():
    return jnp.linspace(-1.3, 2.2, 12).reshape(3, 4),

def two():
    return 2 * one()
"""


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("rounded", (), 1),
        ("rounded", ("--zero", "w", "--surrogate", "declared:straight"), 0),
        ("rounded", ("--nondiff", "w", "--surrogate", "declared:straight"), 0),
        ("rounded", ("--zero", "w", "--reference", "declared:linear"), 1),
        ("clipped", ("--linear", "no", "--edges", "no"), 0),
        ("clipped", (), 1),
        ("rounded", ("--zero", "v"), 2),
        ("rounded", ("--surrogate", "declared:straigt"), 2),
        ("rounded", ("--surrogate", "declared:__name__"), 2),
    ],
)
def test_check_takes_what_is_declared(
    name, options, code, capsys, tmp_path, monkeypatch
):
    (tmp_path / "declared.py").write_text(DECLARED)
    monkeypatch.chdir(tmp_path)
    arguments = "one" if name == "clipped" else "two"
    options = (f"declared:{name}", "--args", f"declared:{arguments}", *options)
    found, out, err = run(capsys, "check", *options, "--level", "quick")
    assert found == code, out + err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "--all"),
        (("tanh", "--all"), "--all"),
        (("tahn",), "no rule 'tahn'"),
        (("none:f",), "'none:f': there is no module 'none'"),
        (("tanh", "--seed", "9" * 30), f"seed is {'9' * 30}, expected 0 to"),
        (("tanh", "--seed", "-1"), "seed is -1, expected 0 to"),
        (("jaxninja:f",), "has no attribute 'f'"),
        (("jaxninja.rules:manual",), "jaxninja: "),
    ],
)
def test_check_refuses_what_makes_no_sense(args, text, capsys):
    code, _, err = run(capsys, "check", *args)
    assert code == 2
    assert text in err


ARGUMENTS = """
import jax.numpy as jnp

table = jnp.ones((2, 3))

def raising():
    raise RuntimeError("no data here")

def one_array():
    return table
"""


@pytest.mark.parametrize("mutate", [(), ("--mutate",)], ids=["check", "mutate"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table", "my_args:table"),
        ("raising", "raised RuntimeError at my_args.py:7: no data here"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_check_refuses_bad_arguments(name, text, mutate, capsys, tmp_path, monkeypatch):
    (tmp_path / "my_rules.py").write_text(MY_RULE)
    (tmp_path / "my_args.py").write_text(ARGUMENTS)
    monkeypatch.chdir(tmp_path)
    options = ("--args", f"my_args:{name}", *mutate)
    code, _, err = run(capsys, "check", "my_rules:right", *options)
    assert code == 2
    assert text in err


def test_one_array_is_one_argument(capsys, tmp_path, monkeypatch):
    (tmp_path / "my_rules.py").write_text(MY_RULE)
    (tmp_path / "my_args.py").write_text(ARGUMENTS)
    monkeypatch.chdir(tmp_path)
    options = ("--args", "my_args:one_array", "--level", "quick")
    code, out, err = run(capsys, "check", "my_rules:right", *options)
    assert (code, "OK" in out) == (0, True), out + err


MINE = ("my_rules:right", "--mutate")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--all", "--zero", "x", "--edges", "no"), "--all .* --zero and --edges"),
        (("--all", "--args", "m:f"), "--all .* --args"),
        (("tanh", "--args", "m:f"), "a rule of the catalogue .* --args"),
        (("tanh", "--tests", "t.py"), "a check without --mutate .* --tests"),
        (("tanh", "--mutants", "3"), "a check without --mutate .* --mutants"),
        ((*MINE, "--json"), "--mutate .* --json"),
        ((*MINE, "--all"), "--mutate .* --all"),
        ((*MINE, "--level", "full", "--seed", "1"), "--mutate .* --level and --seed"),
        ((*MINE, "--reference", "m:f"), "--mutate .* --reference"),
        ((*MINE, "--surrogate", "m:f"), "--mutate .* --surrogate"),
        ((*MINE, "--nondiff", "x"), "--mutate .* --nondiff"),
        ((*MINE, "--linear", "no"), "--mutate .* --linear"),
    ],
)
def test_an_option_without_effect_is_refused(args, told, capsys):
    code, _, err = run(capsys, "check", *args)
    assert code == 2
    assert re.fullmatch(f"jaxninja: {told}: leave .* out\n", err)


def test_mutate_needs_a_rule(capsys, tmp_path, monkeypatch):
    (tmp_path / "my_rules.py").write_text(MY_RULE)
    monkeypatch.chdir(tmp_path)
    options = ("--args", "my_rules:arguments", "--mutate")
    code, _, err = run(capsys, "check", "my_rules:halves", *options)
    assert code == 2
    assert "halves calls no custom_vjp function" in err
