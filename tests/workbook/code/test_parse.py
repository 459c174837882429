"""Which lines make a gradient: as Python runs them, from top to bottom."""

import pytest

from jaxninja.workbook.code import parse
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from tests.workbook.bank import answered

NAMES = EXERCISES[1].gradients


def read(**answers):
    return parse.read(answered(1, **answers), "exercise1.py")


def piece(variable, **answers):
    statements = read(**answers).piece(variable, NAMES)
    lines = answered(1, **answers).splitlines()
    return [lines[s.line - 1].strip() for s in statements]


def test_a_helpers_name_may_be_used_twice():
    """A reader sees what was assigned last above it."""
    answers = {
        "b2": "g = dlogits\ndb2 = g.sum(0)",
        "bngain": "g = dhpreact\ndbngain = (bnraw * g).sum(0)",
        "bnbias": "dbnbias = g.sum(0)",
    }
    assert piece("db2", **answers) == ["g = dlogits", "db2 = g.sum(0)"]
    assert piece("dbnbias", **answers) == ["g = dhpreact", "dbnbias = g.sum(0)"]
    assert check(1, answered(1, **answers), "exercise1.py", explain=False).ok


LOOP = """for k in range(Xb.shape[0]):
    ix = int(Xb[k, 0])
    total = ix if k == 0 else total + ix
{}"""


def test_what_a_loop_sets_first_is_its_own():
    """The lecture's ix, in two loops; and a name that goes round a loop is not."""
    answers = {"h": LOOP.format("dh = dlogits @ W2.T"), "emb": LOOP.format("demb = ix")}
    one = read(**answers).piece("demb", NAMES)[0]
    assert "ix" not in one.reads
    assert "total" in one.reads


CHAINS = {
    "changed": ("a = dh\na = 2 * a\na += h\n{} = a", 4),
    "a branch of if": ("a = dh\nif n:\n    a = h\n{} = a", 3),
    "both branches": ("a = dh\nif n:\n    a = h\nelse:\n    a = -h\n{} = a", 2),
    "in place": ("a = np.zeros(3)\na[0] = n\n{} = a", 3),
    "function": ("def f(x):\n    y = a * x\n    return y\na = dh\n{} = f(h)", 3),
    "lambda": ("f = lambda x: a * x\na = dh\n{} = f(h)", 4),
    "comprehension": ("a = n\n{} = sum([a * h for a in (1, 2)])", 1),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_piece_is_what_leads_to_the_last_value(chain):
    text, count = CHAINS[chain]
    above = "a = dlogits\ndb2 = a.sum(0)"
    found = piece("dhpreact", b2=above, hpreact=text.format("dhpreact"))
    assert len(found) == count
    assert (above.splitlines()[0] in found) == (chain == "lambda")  # it may be read


def bad_lines(**answers):
    return list(parse.out_of_order(read(**answers), NAMES).values())


HALF = """dbndiff = bnvar_inv * dbnraw
dbndiff2 = {}
dbndiff += 2.0 * bndiff * dbndiff2"""
ONES = "dbnvar / (n - 1) * jnp.ones_like(dbndiff)"


@pytest.mark.parametrize(
    "code", [ONES, "jnp.broadcast_to(dbnvar / (n - 1), dbndiff.shape)"]
)
def test_a_shape_is_no_value(code):
    """Of half a gradient, whose other half needs what is made here."""
    answers = {"bndiff2": HALF.format(code), "bndiff": "pass"}
    assert bad_lines(**answers) == []
    assert check(1, answered(1, **answers), "exercise1.py", explain=False).ok


def test_the_values_of_half_a_gradient_are_values():
    (told,) = bad_lines(bndiff2=HALF.format(ONES + " + 0 * dbndiff"), bndiff="pass")
    assert "one branch of it was used, not both" in told


def test_names_inside_of_a_function_are_its_own():
    code = "def f(dcounts):\n    dprobs = dcounts\n    return dprobs\n"
    assert bad_lines(logprobs=code + "dlogprobs = -jax.nn.one_hot(Yb, 27) / n") == []


def test_a_second_attempt_is_no_second_branch():
    again = "dhpreact = (1.0 - h**2) * dh\ndh = dlogits @ W2.T"
    line = (
        answered(1, h="dh = dlogits", hpreact=again)
        .splitlines()
        .index("    dh = dlogits")
    )
    (told,) = bad_lines(h="dh = dlogits", hpreact=again)
    assert f"reads dh as line {line + 1} made it" in told
    assert "makes it anew" in told
    assert bad_lines(h="dh = dlogits\ndh = dlogits @ W2.T") == []
    assert piece("dh", h="dh = dlogits\ndh = dlogits @ W2.T") == ["dh = dlogits @ W2.T"]


def test_lines_below_a_return_are_refused():
    text = EXERCISES[1].solution.rstrip()
    last = text.splitlines()[-1]
    early = text.replace("\n    dbnmeani = ", f"\n{last}\n    dbnmeani = ")
    (line,) = [k for k, row in enumerate(early.splitlines()[:-1], 1) if row == last]
    report = check(1, early, "exercise1.py", explain=False)
    assert (report.status, report.line) == ("error", line)
    assert "below this return never runs" in report.message


def test_a_gap_is_what_is_assigned_last():
    assert read(h="dh = dlogits @ W2.T\ndh = None").is_gap("dh")
    assert not read(h="dh = None\ndh = dlogits @ W2.T").is_gap("dh")


def test_a_gradient_of_the_files_own_order_is_at_hand():
    """dbngain by way of dbnraw, which the exercise asks for after it."""
    answers = {
        "bngain": "dbnraw = bngain * dhpreact\n"
        "dbngain = (bnraw * dbnraw / bngain).sum(0)",
        "bnraw": "pass",
    }
    assert check(1, answered(1, **answers), "exercise1.py", explain=False).ok


def test_a_tab_among_spaces_is_told_at_its_own_line():
    text = answered(2).replace("    dlogits", "\tdlogits")
    line = text.splitlines().index(next(s for s in text.splitlines() if "\t" in s)) + 1
    report = check(2, text, "exercise2.py")
    assert (report.status, report.line) == ("error", line)
    assert report.message.startswith("a tab indents this line, and spaces the others")
