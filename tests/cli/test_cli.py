"""The command line as a person meets it: output, one-line errors, exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import jax
import pytest

import jaxninja
from jaxninja import cli
from jaxninja.rules import RULES

ROOT = Path(__file__).parents[2]


def run(capsys, *args):
    """(exit code, stdout, stderr) of a command run in this process."""
    try:
        code = cli.main([str(a) for a in args])
    except SystemExit as stop:  # from tyro: -h and wrong options
        code = stop.code
    out = capsys.readouterr()
    return code or 0, out.out, out.err


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """A small run on the embedded names, and what was printed meanwhile."""
    runs = tmp_path_factory.mktemp("runs")
    options = ["--steps", "200", "--hidden", "20", "--log-every", "50"]
    options += ["--diagnose", "0", "--runs", str(runs)]
    with redirect_stdout(StringIO()) as out:
        assert cli.main(["train", *options]) == 0
    return runs / "names-network-1", out.getvalue()


@pytest.fixture
def trained(trained_once, tmp_path):
    """The same in a folder of the test's own."""
    path, out = trained_once
    return shutil.copytree(path, tmp_path / path.name), out


def test_train_says_what_it_does_and_shows_losses_and_names(trained):
    path, out = trained
    for word in (
        "device ",
        "JAX ",
        "float32",
        "matmul precision",
        "route ",
        "parameters",
    ):
        assert word in out
    assert re.search(r"step +200/200  loss \d\.\d{4}", out)
    assert re.search(r"losses +train \d\.\d{4}, val \d\.\d{4}, clean val", out)
    assert re.search(r"samples +20, of which \d+ ", out)
    assert (path / "result.json").exists()


def test_eval_reports_what_training_found(trained, capsys):
    path, _ = trained
    code, out, _ = run(capsys, "eval", path)
    result = json.loads((path / "result.json").read_text())
    assert code == 0
    for part in ("train", "val", "clean_val", "test"):
        assert f"{result[part + '_loss']:.4f}" in out
    running = run(capsys, "eval", path, "--bn", "running")[1]
    assert "batchnorm running" in running
    assert running != out


def test_sample_invents_items(trained, capsys):
    path, _ = trained
    code, out, _ = run(capsys, "sample", path, "-n", 5, "--prompt", "an", "--top-k", 3)
    items = out.splitlines()
    assert code == 0
    assert len(items) == 6
    assert all(item.startswith("an") for item in items[:5])
    assert re.fullmatch(r"\d of 5 .*", items[5])


def test_resume_takes_the_runs_own_options(trained, capsys):
    path, _ = trained
    code, out, err = run(capsys, "train", "--resume", path, "--steps", 300)
    assert code == 0, err
    assert "from step 200" in out
    assert json.loads((path / "config.json").read_text())["config"]["hidden"] == 20
    code, _, err = run(capsys, "train", "--resume", path, "--hidden", 30)
    assert code == 2
    assert "hidden is 30, but 20" in err


def test_rules_lists_every_rule_with_residual_bytes(capsys):
    code, out, _ = run(capsys, "rules")
    assert code == 0
    for rule in RULES:
        assert f"{rule.name}({', '.join(rule.arguments)})" in out
        assert rule.source in out
    # batchnorm: xhat [4096, 512], rstd and gamma [512], in float32
    assert f"{4 * (4096 * 512 + 2 * 512):,} B; autodiff" in out


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_show_prints_derivation_forward_and_backward(name, capsys):
    code, out, _ = run(capsys, "show", name)
    assert code == 0
    for mode in ("fwd", "bwd", "jvp"):
        assert f"def {name}_{mode}(" in out
    assert "Check: " in out


def test_show_network_prints_the_whole_backward_pass(capsys):
    code, out, _ = run(capsys, "show", "network")
    assert code == 0
    assert "dhprebn = bngain * bnvar_inv * dbnraw" in out
    assert run(capsys, "show", "autodiff")[0] == 0


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


def test_what_is_declared_is_said_of_one_function(capsys):
    code, _, err = run(capsys, "check", "--all", "--zero", "x", "--edges", "no")
    assert code == 2
    assert "--zero and --edges" in err


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


@pytest.mark.parametrize("option", ["--json", "--all"])
def test_mutate_names_the_option_that_it_does_not_take(option, capsys):
    code, _, err = run(capsys, "check", "my_rules:right", "--mutate", option)
    assert code == 2
    assert f"--mutate does not go with {option}" in err


def test_mutate_needs_a_rule(capsys, tmp_path, monkeypatch):
    (tmp_path / "my_rules.py").write_text(MY_RULE)
    monkeypatch.chdir(tmp_path)
    options = ("--args", "my_rules:arguments", "--mutate")
    code, _, err = run(capsys, "check", "my_rules:halves", *options)
    assert code == 2
    assert "halves calls no custom_vjp function" in err


def test_doctor_prints_what_matters(capsys):
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    words = ("jax ", "jaxlib ", "device ", "x64 ", "matmul precision ")
    for word in (*words, "GPU driver ", "JAX's GPU plugin ", "nvcc ", "C++ compiler "):
        assert word in out


def test_version_and_help(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run(capsys, "--version")[1] == f"jaxninja {project['version']}\n"
    code, out, _ = run(capsys, "-h")
    assert code == 0
    for command in cli.COMMANDS:
        assert f"  {command} " in out
        assert run(capsys, command, "-h")[0] == 0
    assert run(capsys)[0] == 2


def test_help_shows_every_default(capsys):
    out = " ".join(run(capsys, "train", "-h")[1].replace("│", " ").split())
    for default in ("200000", "0.1", "0.001", "1e-05", "names", "network", "None"):
        assert f"(default: {default})" in out


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["trian"], "'trian'.* 'train'"),
        (["train", "--lrr", "1"], r"Perhaps you meant[\s\S]*--lr FLOAT"),
        (["train", "--lr", "-1"], "lr is -1.0"),
        (["train", "--residuals", "2C"], r"'2C'[^N]*10C[^N]*5C[^N]*1C[^N]*$"),
        (["train", "--batch-size", "0"], "batch_size is 0"),
        (["train", "--batch-size", "1"], "batch_size is 1, expected 2 or more"),
        (["train", "--data", "nmaes"], "'nmaes'.* 'names'"),
        (["train", "--name", "a/b"], "name is 'a/b'"),
        (["train", "--resume", "none"], "none does not exist"),
        (["eval", "none"], "none does not exist"),
        (["sample", "none"], "none does not exist"),
        (["show", "tahn"], "'tahn'.* 'tanh'"),
    ],
)
def test_bad_input_is_one_line_and_not_zero(args, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *args)
    assert code == 2
    assert re.search(text, err)
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_sweep_begins_where_jax_has_its_devices_already(capsys):
    """As in a notebook; the number of them is then what it is."""
    assert jax.devices()
    code, _, err = run(capsys, "sweep", "--seeds", 10**9)
    assert (code, err.count("\n")) == (2, 1)
    assert re.search("1,000,000,000 members.* 10,000", err)


def test_bad_samples_are_refused(trained, capsys):
    path, _ = trained
    for option, value in [("-n", 0), ("--temperature", -1), ("--top-k", 99)]:
        code, _, err = run(capsys, "sample", path, option, value)
        assert code == 2
        assert "expected" in err
    assert "holds 'Q', expected only" in run(capsys, "sample", path, "--prompt", "Q")[2]


def test_a_taken_name_is_refused(trained, capsys):
    path, _ = trained
    args = ("--runs", path.parent, "--name", path.name)
    code, _, err = run(capsys, "train", *args)
    assert code == 2
    assert all(word in err for word in (path.name, "--name", "--resume"))


def test_divergence_is_one_line(tmp_path, capsys):
    args = ("--lr", "1e30", "--steps", 10, "--diagnose", 0, "--runs", tmp_path)
    code, _, err = run(capsys, "train", *args)
    assert code == 1
    assert re.fullmatch(r"jaxninja: .* at step \d+: .*\n", err)


def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    def full(path, _):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("jaxninja.storage.atomic.write_atomic", full)
    code, _, err = run(capsys, "train", "--steps", 10, "--runs", tmp_path)
    assert code == 2
    assert re.fullmatch(r"jaxninja: .*: No space left on device.* --runs .*\n", err)


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m jaxninja rules | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("residuals:")
    assert done.stderr == ""


def test_the_script_is_the_same_command(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "jaxninja")
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert done.stdout == f"jaxninja {jaxninja.__version__}\n"


def test_graph_shows_values_and_gradients_and_draws(capsys, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "def f(a, b):\n    return a * b\n"
        "def pair():\n    return 2.0, -3.0\n"
        "def wrong():\n    return [2.0]\n"
        "def twice(a, b):\n    import numpy as np\n    return a * np.ones(2)\n"
        "def raises(a, b):\n    raise ValueError('lost')\nnumber = 3\n"
        "def branches(a, b):\n    return a if a > b else b\n"
        "def ints():\n    return 2, -3\n"
    )
    monkeypatch.chdir(tmp_path)
    drawing = tmp_path / "f.svg"
    options = ("--args", "mine:pair", "--svg", drawing)
    code, out, _ = run(capsys, "graph", "mine:f", *options)
    assert code == 0
    assert "#2 = a * b  float32[]     -6.0000  1.0000" in out
    assert drawing.read_text().startswith("<svg")
    code, out, _ = run(capsys, "graph", "mine:twice", "--args", "mine:pair")
    assert code == 0
    assert "no gradients: the function returned float32[2]" in out
    code, out, _ = run(capsys, "graph", "mine:f", "--args", "mine:ints")
    assert code == 0
    assert "no gradient for a = 2, b = -3: an int is a constant" in out
    for arguments, message in (
        (("mine:f",), "missing 2 required positional arguments"),
        (("mine:f", "--args", "mine:wrong"), "returned a list"),
        (("mine:g",), "mine has no attribute 'g'"),
        (("mine:raises", "--args", "mine:pair"), "ValueError at mine.py:11: lost"),
        (("mine:number",), "mine:number"),
        (
            ("mine:branches", "--args", "mine:pair"),
            "jaxninja: branches at mine.py:14 asks",
        ),
        (("f",), "expected MODULE:NAME"),
    ):
        code, _, err = run(capsys, "graph", *arguments)
        assert code == 2
        assert message in err
