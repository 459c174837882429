"""The command line as a person meets it: output, one-line errors, exit codes."""

import ast
import itertools
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
from tests.cli.command import run

ROOT = Path(__file__).parents[2]


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
    for name, loss in jaxninja.load(path).losses("running").items():
        assert loss != pytest.approx(result[name], abs=1e-4)
        assert f"{loss:.4f}" in running


def test_sample_invents_items(trained, capsys):
    path, _ = trained
    code, out, _ = run(capsys, "sample", path, "-n", 5, "--prompt", "an", "--top-k", 3)
    items = out.splitlines()
    assert code == 0
    assert len(items) == 6
    assert all(item.startswith("an") for item in items[:5])
    assert re.fullmatch(r"\d of 5 .*", items[5])


def test_sample_takes_its_options(trained, capsys):
    path, _ = trained
    options = ("--bn", "running", "--top-p", 0.9, "--length", 9)
    out = run(capsys, "sample", path, "-n", 200, *options)[1]
    items = jaxninja.load(path).sample(200, bn="running", top_p=0.9, length=9)
    assert out.splitlines()[:200] == items


@pytest.mark.parametrize("command", ["eval", "export", "sample"])
def test_the_checkpoint_is_the_one_asked_for(command, trained, capsys):
    path, _ = trained
    (path / "checkpoints" / "best.safetensors").unlink(missing_ok=True)
    code, _, err = run(capsys, command, path, "--at", "best")
    assert (code, "has no best checkpoint" in err) == (2, True), err


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
    assert "dhprebn = bngain * bnvar_inv * (dhpreact" in out
    assert run(capsys, "show", "autodiff")[0] == 0


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
        code, page, _ = run(capsys, command, "-h")
        assert code == 0
        assert re.search(rf"Examples?: jaxninja {command}\b", page)
    assert run(capsys)[0] == 2


def test_help_shows_every_default(capsys):
    out = " ".join(run(capsys, "train", "-h")[1].replace("│", " ").split())
    for default in ("200000", "0.1", "0.001", "1e-05", "names", "network", "None"):
        assert f"(default: {default})" in out


def test_no_help_text_breaks_in_the_midst_of_a_sentence():
    """tyro begins a new line where one of the source's begins with no letter."""
    package = Path(cli.__file__).parents[1]
    files = [*(package / "cli").rglob("*.py"), package / "training" / "config.py"]
    for file in files:
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        body = [n for c in nodes if isinstance(c, ast.ClassDef) for n in c.body]
        for node in body:
            text = getattr(getattr(node, "value", None), "value", None)
            lines = [line.strip() for line in str(text).split("\n")]
            for before, line in itertools.pairwise(lines):
                assert not (before and line) or line[0].isalpha(), (file.name, line)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["trian"], "'trian'.* 'train'"),
        (["train", "--lrr", "1"], "no option --lrr; did you mean --lr?"),
        (["train", "--stepz", "1", "--lrr", "1"], "--stepz; did you mean --steps?"),
        (["sample", "a", "--cuont", "1"], "no option --cuont; .*(--count|sample -h)"),
        (["train", "-x"], "no option -x; see `jaxninja train -h`"),
        (["train", "--steps"], "--steps needs a value"),
        (["train", "--steps", "x"], "--steps is 'x', expected a whole number"),
        (["train", "--hidden", "x"], "--hidden is 'x', expected a whole number"),
        (["sweep", "--lr", "x"], "--lr is 'x', expected a number"),
        (["sample", "a", "-n", "x"], "--count is 'x', expected a whole number"),
        (["eval", "a", "b"], "'b' is an argument too many"),
        (["exercise", "chek"], "no command 'chek', .*start, .* 'check'"),
        (["exercise", "check", "9"], "number is '9', expected one of 1, 2"),
        (["train", "--lr", "-1"], "lr is -1.0"),
        (["train", "--residuals", "2C"], "is '2C', expected one of 10C, 5C, 1C$"),
        (["train", "--batch-size", "0"], "batch_size is 0"),
        (["train", "--batch-size", "1"], "batch_size is 1, expected 2 or more"),
        (["train", "--data", "nmaes"], "'nmaes'.* 'names'"),
        (["train", "--name", "a/b"], "name is 'a/b'"),
        (["train", "--resume", "none"], "none does not exist"),
        (["eval"], "RUN is missing"),
        (["report"], "one run folder or more"),
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
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_sweep_begins_where_jax_has_its_devices_already(capsys):
    """As in a notebook; the number of them is then what it is."""
    assert jax.devices()
    code, _, err = run(capsys, "sweep", "--seeds", 10**9)
    assert (code, err.count("\n")) == (2, 1)
    assert re.search("1,000,000,000 members.* 10,000", err)


def test_bad_samples_are_refused(trained, capsys):
    path, _ = trained
    for option, value in [
        ("-n", 0),
        ("-n", 10**9),
        ("--temperature", -1),
        ("--top-k", 99),
    ]:
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
