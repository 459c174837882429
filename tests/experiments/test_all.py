"""One command makes every result again, and knows what is older than its code."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import cache

import pytest

from experiments.all import __main__ as everything
from experiments.all import headlines, lanes, pages, progress, staleness
from experiments.all.headlines import HEADLINES
from experiments.all.parts import PARTS, ROOT, Part
from experiments.all.staleness import age, digest, recorded, stale

INDEX = (ROOT / "experiments" / "README.md").read_text()
# A look in a minute, no figures kept; what needs a file or a GPU; and the README's own.
LOOKS = {"step_speed", "my_rule", "gpt2.llmc_losses", "gpu", "all"}
CODE = ("experiments/all/parts.py",)
ROW = {
    "exit": 0,
    "seconds": 60,
    "code": "0",
    "device": "a machine",
    "cpus": 2,
    "versions": {"python": "3.11.7", "jax": "0.10.2", "numpy": "2.4.6"},
    "date": "2026-01-02",
}
PARSED = cache(staleness._code)


@pytest.fixture
def parsed_once(monkeypatch):
    """A file that many parts name is parsed for one of them."""
    monkeypatch.setattr(staleness, "_code", PARSED)


def modules(text):
    return set(re.findall(r"python -m experiments\.([\w.]+)", text))


def run(tmp_path, parts, *options):
    return everything.main(["--results", str(tmp_path), *options], parts)


def python(code, timed=False):
    return Part((f'python -c "{code}"',), CODE, 1, timed)


def test_every_answer_of_the_index_is_a_part():
    commands = " ".join(c for part in PARTS.values() for c in part.commands)
    assert modules(INDEX) - LOOKS == modules(commands) - LOOKS


def test_what_the_parts_measure_is_there(parsed_once):
    for part in PARTS.values():
        assert len(digest(part.code)) == 12


def test_results_name_the_code_that_they_are_of(parsed_once):
    """What is older is told as a skipped test with its reason (pytest -rs): code may
    change without its results."""
    record = recorded()
    assert set(record) <= set(PARTS)
    for row in record.values():
        assert {"date", "versions", "device", "code", "seconds", "exit"} <= row.keys()
    if told := stale(record):
        pytest.skip(told)


def test_an_age_is_told_of_each_kind_of_row():
    part = Part((), CODE, 1)
    assert age(part, None) == "never run"
    assert age(part, ROW | {"exit": 3}) == "failed on 2026-01-02"
    assert age(part, ROW) == "of 2026-01-02, older than its code"
    good = ROW | {"code": digest(CODE)}
    assert age(part, good) == "as its code is"
    rows = {"a": ROW, "b": ROW | {"exit": 1}, "d": good, "e": ROW}
    told = stale(rows, dict.fromkeys("abcde", part))
    assert told == "older than their code: a, e; failed: b; never run: c"
    assert stale({"d": good}, {"d": part}) == ""


def test_only_code_counts(tmp_path):
    file = tmp_path / "f.py"
    hashes = []
    for text in (
        "def f(x):\n    return x\n",
        '"""f"""\ndef f(x: float) -> float:  # a\n    return x\n',
    ):
        file.write_text(text)
        hashes.append(digest(["f.py"], tmp_path))
    file.write_text("def f(x):\n    return -x\n")
    hashes.append(digest(["f.py"], tmp_path))
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_was_done_is_left_alone_and_what_failed_runs_again(tmp_path, capsys):
    again = tmp_path / "again"
    once = f"import pathlib; p = pathlib.Path({str(again)!r}); p.exists() or 1 / 0"
    parts = {"good": python("print(6 * 7)"), "bad": python(once, timed=True)}
    assert run(tmp_path, parts) == 1
    out = capsys.readouterr().out
    assert "2 parts to run, 1 of them alone" in out
    assert "good done in" in out
    assert "bad failed (1)" in out
    assert "| ZeroDivisionError" in out
    assert "42" in (tmp_path / "output" / "good.txt").read_text()
    assert "ZeroDivisionError" in (tmp_path / "output" / "bad.txt").read_text()
    again.write_text("")
    assert run(tmp_path, parts) == 0
    assert "1 parts to run" in capsys.readouterr().out
    record = json.loads((tmp_path / "measured.json").read_text())
    record["good"]["code"] = "0"
    (tmp_path / "measured.json").write_text(json.dumps(record))
    assert run(tmp_path, parts, "--list") == 0
    good, bad = capsys.readouterr().out.splitlines()
    assert "older than its code" in good
    assert "as its code is" in bad


def test_a_part_goes_on_with_the_commands_that_have_not_ended(tmp_path):
    """Its folder is the same one until all have ended, and gone then."""
    first = "open('{kept}/seen', 'a').write('1'); print('first')"
    then = "import pathlib; print(len(pathlib.Path('{kept}/seen').read_text())); {}"
    commands = [f'python -c "{first}"', f'python -c "{then}"']
    failing = Part((commands[0], commands[1].replace("{}", "1 / 0")), CODE, 1)
    assert run(tmp_path, {"two": failing}) == 1
    whole = Part((commands[0], commands[1].replace("{}", "")), CODE, 1)
    assert run(tmp_path, {"two": whole}) == 0
    text = (tmp_path / "output" / "two.txt").read_text()
    assert text.split("\n")[1] == "first"
    assert text.rstrip().endswith("\n1")
    assert not (tmp_path / "under_way" / "two").exists()


def test_untimed_parts_have_a_core_each_and_timed_ones_all(tmp_path, capsys):
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("a process cannot be kept on a core here")
    # the thread that imports is the one that was pinned; its start is not waited for
    code = "import os, time; time.sleep(0.2); print(len(os.sched_getaffinity(0)))"
    parts = {"untimed": python(code), "timed": python(code, timed=True)}
    assert run(tmp_path, parts) == 0
    out = capsys.readouterr().out
    assert out.index("untimed done") < out.index(" timed began")
    found = [(tmp_path / "output" / f"{n}.txt").read_text() for n in parts]
    everyone = len(os.sched_getaffinity(0))
    assert [int(text.split()[-1]) for text in found] == [1, everyone]


def test_a_run_that_is_told_to_end_leaves_nothing_behind(tmp_path):
    """SIGTERM, as Ctrl-C: the command under way ends, what had ended is kept."""
    code = (
        "import sys; from experiments.all import __main__ as m; "
        "from experiments.all.parts import Part; "
        f"part = lambda text: Part((f'python -c \"{{text}}\"',), {CODE}, 1, True); "
        "parts = {'a': part('print(1)'), 'b': part("
        "'import os, time; print(os.getpid()); time.sleep(100)')}; "
        f"sys.exit(m.main(['--results', {str(tmp_path)!r}], parts))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        (pid,) = waited(lambda: [*tmp_path.glob("under_way/b/*/stdout.txt")], str.split)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == everything.STOPPED
    finally:
        process.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert json.loads((tmp_path / "measured.json").read_text()).keys() == {"a"}


def waited(files, read, seconds=60):
    """What the only file says once it says something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        said = [read(file.read_text()) for file in files()]
        if any(said):
            return said[0]
        time.sleep(0.05)
    raise TimeoutError


def test_what_is_left_counts_cores_only_where_parts_run_beside_each_other():
    parts = {n: Part((), (), 1, timed) for n, timed in (("a", 0), ("b", 0), ("c", 1))}
    told = progress.Progress(parts, {"a": 6, "b": 2, "c": 3}, 2)
    assert told.left() == 6 + 3
    told.minutes = {"a": 3, "b": 3, "c": 3}
    assert told.left() == 3 + 3


def test_pages_are_filled_between_their_marks(tmp_path):
    """And only from a part that has been run to its end."""
    before = "a\n<!-- result: engine{} -->\nold\n<!-- end of result -->\nb\n"
    page = tmp_path / "README.md"
    page.write_text("".join(map(before.format, ("", " 2", " whole"))))
    (tmp_path / "output").mkdir()
    output = "$ command\n| a |\n|---|\n| 1 |\n\nwords\n| b |\n|---|\n| 2 |\n"
    (tmp_path / "output" / "engine.txt").write_text(output)
    assert pages.update(tmp_path, {"engine": ROW | {"exit": 1}}, tmp_path) == []
    assert pages.update(tmp_path, {"engine": ROW}, tmp_path) == ["README.md"]
    assert pages.update(tmp_path, {"engine": ROW}, tmp_path) == []
    both, second, whole = page.read_text().split("a\n<!--")[1:]
    stamp = "\n\n2026-01-02: a machine, 2 CPUs, Python 3.11.7, JAX 0.10.2.\n"
    assert f"| 1 |\n\n| b |\n|---|\n| 2 |{stamp}<!-- end of result -->\nb\n" in both
    assert "| 2 |" in second
    assert "| 1 |" not in second
    assert "\nwords\n" in whole
    assert "command" not in whole


def test_every_mark_of_a_page_is_of_a_part():
    found = [
        m[1] for page in pages.pages() for m in pages.BLOCK.finditer(page.read_text())
    ]
    assert found
    assert set(found) <= {*PARTS, *HEADLINES}
    for headline in HEADLINES.values():
        assert set(headline.parts) <= set(PARTS)


def test_the_readme_takes_its_rows_from_the_tables_of_two_parts():
    from experiments.benchmarks.models import COLUMNS, HEAD, row
    from experiments.makemore import markdown

    names = ("gru", "lstm", "mlp", "transformer")
    speeds = dict.fromkeys(COLUMNS, 200.0) | {"jax.grad": 100.0}
    lines = [f"`{n}`|s|1,000|10|1|2.1|2.2|2.3|2.4|ref".split("|") for n in names]
    benchmark = "\n".join([HEAD, *(row(name, speeds) for name in names)])
    made = headlines.models([markdown(lines)], [benchmark]).splitlines()
    assert made[2] == "| `gru` | 1,000 | 2.4 | 2.00 | 2.00 |"
    assert len(made) == 2 + len(names)


def test_the_readme_names_the_checkers_as_users_know_them():
    from experiments.checker_benchmark.ours import NAME
    from experiments.checker_benchmark.peers import PEERS
    from experiments.checker_benchmark.tables import detection

    def detected(*names):
        return [detection([
            {"kind": kind, "checker": name, "verdict": "detected", "order": 1,
             "double": False, "truths": [], "level": "standard", "seconds": 1}
            for name in names for kind in ("mutant", "field")
        ])]  # fmt: skip

    both = detected(NAME), detected(*PEERS)
    made = headlines.checkers(*both).splitlines()
    assert made[2] == "| `jaxninja.check_vjp` | 100.0 % of 1 | 100.0 % of 1 | – |"
    in_full = headlines.detection(*both).splitlines()
    assert [line.split(" | ")[0] for line in in_full[2:]] == [f"| {NAME}", *(
        f"| {name}" for name in PEERS
    )]  # fmt: skip
    assert "median s" not in in_full[0]
    assert headlines.table(("of", "loss"), [("1 of 1982", "2.0378")]).splitlines()[
        2
    ] == ("| 1 of 1,982 | 2.0378 |")


def test_the_halves_of_the_strangers_have_a_row_each():
    from experiments.checker_benchmark.strangers import HALVES, results

    about = {"level": "standard", "case": "rule", "truths": [], "place": ["x"]}
    records = [
        {**about, "kind": "right", "name": "a", "verdict": "passed"},
        {**about, "kind": "twin", "name": "a", "verdict": "detected", "leaves": ["x"]},
        {**about, "kind": "twin", "name": "a", "verdict": "passed"},
    ]
    printed = [*pages.tables(results.page(records, totals=True))] * len(HALVES)
    made = headlines.strangers(printed).splitlines()
    assert [line.split(" | ")[0][2:] for line in made[2:]] == list(HALVES)
    half = "50.0 % of 2"
    assert made[2].split(" | ")[1:3] == [half, half]
    assert made[2].endswith(" | 0.0 % of 1" * 3 + " |")
    earlier = headlines.strangers(printed[:-2])  # before the last half was gathered
    assert earlier.splitlines() == made[:-1]


def test_a_headline_is_dated_where_that_is_asked_for(tmp_path):
    page = tmp_path / "README.md"
    mark = "<!-- result: strangers-by-half{} -->\nold\n<!-- end of result -->\n"
    page.write_text(mark.format("") + mark.format(" dated"))
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "strangers.txt").write_text("| a |\n|---|\n| 1 |\n")
    made = pages.HEADLINES["strangers-by-half"]._replace(make=lambda found: found[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(pages.HEADLINES, "strangers-by-half", made)
        assert pages.update(tmp_path, {"strangers": ROW}, tmp_path) == ["README.md"]
    plain, dated = page.read_text().split("<!-- end of result -->\n")[:2]
    assert "2026-01-02" not in plain
    assert dated.endswith("2026-01-02: a machine, 2 CPUs, Python 3.11.7, JAX 0.10.2.\n")


def test_an_unknown_part_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        everything.main(["--only", "nonsense"])
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_output_names_no_folder_of_this_machine(tmp_path):
    parts = {"a": python(f"print({str(ROOT / 'README.md')!r}, '{{kept}}/x')")}
    assert run(tmp_path, parts) == 0
    assert (tmp_path / "output" / "a.txt").read_text().endswith("\nREADME.md x\n")


def test_as_many_parts_run_at_a_time_as_there_are_cores():
    assert 1 <= len(lanes.usable_cores()) <= (os.cpu_count() or 1)
