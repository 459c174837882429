"""The plugin in a pytest of its own: what passes, what fails, what a user reads."""

import pytest

pytest_plugins = ["pytester"]

RULES = """
    import jax, jax.numpy as jnp
    from jaxninja.rule import Case, Rule

    def make(factor):
        @jax.custom_vjp
        def square(x):
            return x * x

        def fwd(x):
            return x * x, x

        def bwd(x, dy):
            return (factor * x * dy,)

        square.defvjp(fwd, bwd)
        return square, fwd, bwd

    def example(key, N):
        return (jax.random.normal(key, (N,)),)

    def rule(factor):
        return Rule(*make(factor), example, (Case({"N": 5}),), Case({"N": 5}), "test")

    RIGHT, WRONG = [rule(2.0)], [rule(3.0)]
    right, wrong = make(2.0)[0], make(3.0)[0]
"""


@pytest.fixture
def run(pytester):
    pytester.makepyfile(catalogue=RULES)

    def run(*args, code=""):
        files = ["test_user.py"] if code else []
        if code:
            pytester.makepyfile(test_user=f"import catalogue, pytest\n{code}")
        return pytester.runpytest_subprocess("-p", "no:xdist", *files, *args)

    return run


def test_a_catalogue_becomes_tests(run):
    result = run("--vjp", "catalogue:RIGHT", "-v", "--vjp-level", "quick")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*--vjp-level quick --vjp-seed 0", "*[[]square[]]*"])


def test_a_wrong_rule_fails_with_the_hint_and_how_to_repeat(run):
    result = run("--vjp", "catalogue:WRONG", "--vjp-seed", "random")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "dx is the true gradient times 3/2" in text
    assert "again: pytest" in text
    assert text.count("--vjp-seed") >= 2
    assert "--vjp-seed random" not in text
    assert "Traceback" not in text


def test_marker_and_fixture(run):
    code = """
from jax.numpy import arange
sample = lambda: (arange(1.0, 6.0),)

@pytest.mark.vjp(catalogue.right, sample)
def test_right(): pass

@pytest.mark.vjp(catalogue.wrong, sample)
def test_wrong(): pass

@pytest.mark.vjp(catalogue.right, (arange(1.0, 6.0),), surrogate=lambda a, g: (g,))
def test_options(): pass

def test_fixture(vjp_check):
    assert vjp_check(catalogue.right, *sample()).level == "quick"
    with pytest.raises(AssertionError, match="FAIL"):
        vjp_check(catalogue.wrong, *sample())
"""
    result = run("--vjp-level", "quick", code=code)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["FAILED*test_wrong*", "FAILED*test_options*"])


def test_the_level_of_a_mark_is_that_of_the_command_to_repeat_it(run):
    code = """
from jax.numpy import arange

@pytest.mark.vjp(catalogue.wrong, (arange(1.0, 6.0),), level="quick", seed=3)
def test_wrong(): pass
"""
    result = run(code=code)
    result.assert_outcomes(failed=1)
    assert "test_wrong' --vjp-level quick --vjp-seed 3" in result.stdout.str()


def test_a_call_that_makes_no_sense_is_told_without_the_checkers_code(run):
    code = """
@pytest.mark.vjp(catalogue.right, (1.0, 2.0, 3.0))
def test_marked(): pass

def test_called(vjp_check):
    with pytest.raises(TypeError, match="3 arguments"):
        vjp_check(catalogue.right, 1.0, 2.0, 3.0)
"""
    result = run(code=code)
    result.assert_outcomes(passed=1, failed=1)
    assert "3 arguments for square" in result.stdout.str()
    assert "checker.py" not in result.stdout.str()
    assert len(result.outlines) < 20


@pytest.mark.parametrize("name", ["right", "catalogue.right"])
def test_a_mark_without_examples_says_what_to_write(run, name):
    """pytest itself takes the function for the test that is marked."""
    code = f"""
from catalogue import right

@pytest.mark.vjp({name})
def test_marked(): pass
"""
    result = run(code=code)
    result.assert_outcomes(errors=1)
    says = "*pytest.mark.vjp(square) has no example*pytest.mark.vjp(square, example)*"
    result.stdout.fnmatch_lines([says])
    assert "custom_derivatives.py" not in result.stdout.str()


def test_one_array_is_one_example_argument(run):
    code = """
from jax.numpy import arange

@pytest.mark.vjp(catalogue.right, arange(1.0, 6.0), level="quick")
def test_marked(): pass
"""
    run(code=code).assert_outcomes(passed=1)


def test_a_function_without_a_rule_is_no_pass(run):
    code = """
import jax.numpy as jnp

@pytest.mark.vjp(lambda x: jnp.sin(x), (jnp.arange(3.0),))
def test_nothing(): pass
"""
    result = run(code=code)
    result.assert_outcomes(failed=1)
    assert "N-NORULE: no gradient to check: <lambda> calls no" in result.stdout.str()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--vjp", "catalogue:NONE"], "catalogue:NONE"),
        (["--vjp", "nowhere"], "'nowhere'"),
        (["--vjp-seed", "many"], "expected a number or random"),
    ],
)
def test_bad_options_are_refused(run, args, says):
    result = run(*args)
    assert result.ret == 4
    assert says in result.stderr.str()


def test_other_tests_do_not_import_jax(run, pytester):
    pytester.makepyfile(
        test_light="import sys\ndef test_light(): assert 'jax' not in sys.modules"
    )
    run("test_light.py").assert_outcomes(passed=1)
