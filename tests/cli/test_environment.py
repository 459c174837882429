"""Environments and streams in which a command starts: one line, or no matter at all."""

import os
import shlex
import signal
import subprocess
import sys

import pytest

from jaxninja import cli
from jaxninja.cli.process import environment, streams

COMMAND = f"{sys.executable} -m jaxninja"
SMALL = "--batch-size 4 --hidden 8 --diagnose 0 --samples 0 --steps 4 --log-every 2"


def run(command, **variables):
    """(exit code, stdout, stderr) of a line for the shell, in an environment."""
    env = os.environ | variables
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=env)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def options(tmp_path):
    """Those of a small training in `tmp_path`."""
    (tmp_path / "items.txt").write_text("\n".join("abcdefgh" * 5))
    return f"{SMALL} --data {tmp_path}/items.txt --runs {tmp_path} --name run"


@pytest.fixture
def train(options):
    """The line for the shell that trains a small network."""
    return f"{COMMAND} train {options}"


def test_without_its_device_jax_is_told_in_a_line():
    code, _, err = run(f"{COMMAND} check tanh --level quick", JAX_PLATFORMS="cuda")
    assert (code, err.count("\n")) == (2, 1)
    assert "no device to compute on with JAX_PLATFORMS='cuda'" in err
    code, out, err = run(f"{COMMAND} doctor", JAX_PLATFORMS="nonsense")
    assert (code, err) == (0, "")
    assert "device             none: " in out


def test_a_run_on_the_cpu_does_without_the_device_that_is_not_there(train):
    code, _, err = run(
        f"{train} --device cpu", JAX_PLATFORMS="cuda", MPLBACKEND="garbage"
    )
    assert code == 0, err


@pytest.mark.skipif(sys.platform != "linux", reason="its folders are Linux's")
def test_a_run_without_a_folder_for_caches_says_nothing_of_it(train, tmp_path):
    unset = "env -u JAX_COMPILATION_CACHE_DIR -u XDG_CACHE_HOME -u XDG_CONFIG_HOME"
    code, out, err = run(f"{unset} {train}", HOME=str(tmp_path / "items.txt"))
    assert (code, err) == (0, "")
    assert "compilation cache not used" in out


def test_what_jax_and_xla_refuse_stops_only_what_computes():
    wrong = {"JAX_ENABLE_X64": "maybe", "XLA_FLAGS": "--xla_nonsense=1"}
    code, out, err = run(f"{COMMAND} show relu", **wrong)
    assert (code, err.count("left out\n")) == (0, 2)
    assert "def relu_bwd" in out
    for name, value in wrong.items():
        code, _, err = run(f"{COMMAND} check tanh", **{name: value})
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(f"jaxninja: {name} is {value!r}, which ")


def test_jax_s_own_strictness_is_no_matter(options, tmp_path):
    strict = {
        "JAX_DISABLE_JIT": "1",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_TRANSFER_GUARD": "disallow",
    }
    whole = str(tmp_path / "run")
    commands = [
        ["train", *options.split()],
        ["eval", whole],
        ["sample", whole, "-n", "1"],
        ["report", whole],
        ["check", "tanh", "--level", "quick"],
    ]
    calls = f"import jaxninja.cli as c; print(*map(c.main, {commands}))"
    code, out, err = run(f"{sys.executable} -c {shlex.quote(calls)}", **strict)
    assert (code, err, out.splitlines()[-1]) == (0, "", "0 0 0 0 0")


def test_help_ends_and_fits_any_output():
    narrow = {"COLUMNS": "1", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    code, out, err = run(f"{COMMAND} exercise -h", **narrow)
    assert (code, err) == (0, "")
    assert "\\u2022 reset" in out


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_names_are_read_in_utf_8_in_any_locale():
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0"}
    code, _, err = run(f"{COMMAND} eval Ünï", **locale)
    assert (code, err) == (2, "jaxninja: Ünï does not exist\n")


@pytest.mark.more  # JAX has no part in it
@pytest.mark.parametrize("closed", ["| head -1", ">&- 2>&-"])
def test_a_run_outlives_its_reader(closed, train, tmp_path):
    run(f"{train} {closed}")
    assert (tmp_path / "run" / "result.json").exists()


def test_a_stream_without_a_reader_is_dropped_and_told_once(capfd):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as stream:
        lasting = streams.Lasting(stream, sys.stderr)
        for _ in range(3):
            print("a line", file=lasting, flush=True)
    assert capfd.readouterr().err.count("going on without it") == 1


def test_after_a_command_ctrl_c_ends_the_process_without_a_word(monkeypatch):
    ours = signal.default_int_handler
    before = signal.signal(signal.SIGINT, ours)  # in a shell's background it is ignored
    monkeypatch.setattr(sys, "argv", ["jaxninja", "--version"])
    try:
        cli.main(sys.argv[1:])  # in a process of somebody else's
        assert signal.getsignal(signal.SIGINT) is ours
        cli.main()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("invalid truth value 'x' for environment 'JAX_SOME'", "JAX_SOME"),
        ('Invalid value "x" for JAX flag jax_some', "JAX_SOME"),
        ("jax.some must be a device", "JAX_SOME"),
        ("jax_other is wrong", None),
    ],
)
def test_the_variable_that_an_error_names(message, name, monkeypatch):
    monkeypatch.setenv("JAX_SOME", "x")
    assert environment._variable(message) == name


@pytest.mark.parametrize(
    ("given", "used"), [("1", "40"), ("80", "80"), ("9999", "1000")]
)
def test_a_width_that_help_can_be_laid_out_in(given, used, monkeypatch):
    monkeypatch.setenv("COLUMNS", given)
    environment._set_width()
    assert os.environ["COLUMNS"] == used
