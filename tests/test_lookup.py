"""Places: every form of MODULE:NAME is found, or refused with the user's own line."""

import pytest

from jaxninja import lookup

MINE = """
def f(x):
    return x

def raises():
    raise RuntimeError("no data\\nfor you")

def leaves():
    raise SystemExit("bye")

def silent():
    raise KeyError

def pair():
    return [1, 2]

table = 3

class Group:
    @staticmethod
    def one():
        return 1
"""
FILES = {
    "mine_too": MINE,
    "with_syntax": "x = 1\ndef f(:\n",
    "with_tabs": "def f(x):\n  return x\n\treturn x\n",
    "raising": "x = 1\n\n1 / 0\n",
    "leaving": "import sys\nsys.exit(3)\n",
    "wanting": "import no_such_library\n",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "undecodable.py").write_bytes(b"x = 1\n\xff\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


FORMS = [":f", "m:", ":", "::", "..", "m", "", "-", "a:b:c", "m: f", "m\0:f", "...:f"]


@pytest.mark.parametrize("place", FORMS)
def test_what_is_no_place(place):
    with pytest.raises(lookup.PlaceError) as error:
        lookup.find(place, "--args")
    assert str(error.value).startswith(f"--args is {place!r}, expected MODULE:NAME")


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        ("a/b.py:f", "a.b:f"),
        ("./mine_too.py:f", "mine_too:f"),
        ("mine_too.py:f", "mine_too:f"),
        ("..mine_too:f", "mine_too:f"),
        ("mine_too.f", "mine_too:f"),
        ("mine_too:f ", "mine_too:f"),
        ("mine_too:tabel", "table"),
    ],
)
def test_what_was_meant(place, meant):
    with pytest.raises(lookup.PlaceError, match=f"did you mean '{meant}'"):
        lookup.find(place, "--args")


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("with_syntax", r"SyntaxError at with_syntax\.py:2: "),
        ("with_tabs", r"TabError at with_tabs\.py:3: "),
        ("undecodable", r"SyntaxError at undecodable\.py:\d: "),
        ("raising", r"ZeroDivisionError at raising\.py:3: division by zero"),
        ("leaving", r"SystemExit at leaving\.py:2: 3"),
        ("wanting", r"ModuleNotFoundError at wanting\.py:1: .*no_such_library"),
        ("nowhere", r"there is no module 'nowhere'"),
        ("mine_too.nowhere", r"there is no module 'mine_too\.nowhere'"),
    ],
)
def test_a_module_that_does_not_run_is_told_with_its_line(module, told):
    with pytest.raises(lookup.PlaceError, match=told) as error:
        lookup.find(f"{module}:f", "the function")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("raises", r"RuntimeError at mine_too\.py:6: no data$"),
        ("leaves", r"SystemExit at mine_too\.py:9: bye"),
        ("silent", r"KeyError at mine_too\.py:12: no message"),
        ("f", r"raised TypeError: f\(\) missing 1 required"),
        ("table", r"is of type int"),
        ("Group.two", r"Group has no attribute 'two'"),
    ],
)
def test_a_callable_that_raises_is_told_with_its_line(name, told):
    with pytest.raises(lookup.PlaceError, match=told):
        lookup.call(f"mine_too:{name}", "--args")


def test_what_is_there_is_found():
    assert lookup.find("mine_too:f", "f")(3) == 3
    assert lookup.call("mine_too:Group.one", "f") == 1
    assert lookup.arguments("mine_too:pair") == (1, 2)
    assert lookup.arguments("mine_too:Group.one") == (1,)
    assert lookup.arguments(None) == ()
