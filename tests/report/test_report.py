"""The report: whole, broken and half-written runs, and in a real browser, offline."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import jaxninja
from jaxninja.cli import main
from jaxninja.errors import TrainError
from jaxninja.report import findings, gather, page
from jaxninja.report.figures import attention
from jaxninja.storage.records import RecordError
from jaxninja.training.config import TrainConfig
from jaxninja.training.progress import Progress
from jaxninja.training.runs.descriptions import RunError

ITEMS = [f"{a}{b}{c}" for a in "abcdef" for b in "xyz" for c in ("", "q", "rr")]
QUIET = Progress()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders: whole, diverged, plain (no diagnostics), half (as a crash leaves it)."""
    root = tmp_path_factory.mktemp("report")
    (root / "items.txt").write_text("\n".join(ITEMS))
    config = TrainConfig(
        data=str(root / "items.txt"),
        runs=str(root),
        name="whole",
        steps=60,
        batch_size=8,
        hidden=16,
        log_every=20,
        eval_every=60,
        checkpoint_every=20,
        samples=3,
        diagnose=20,
        keep_best=False,
    )
    jaxninja.train(config, progress=QUIET)
    jaxninja.train(
        dataclasses.replace(config, name="plain", diagnose=0), progress=QUIET
    )
    tiny = {"layers": 1, "heads": 2, "embedding": 8}
    shared = ("data", "runs", "batch_size", "log_every", "diagnose", "samples")
    given = {name: getattr(config, name) for name in shared}
    attentive = TrainConfig(
        model="transformer", **tiny, **given, name="attentive", steps=20
    )
    jaxninja.train(attentive, progress=QUIET)
    with pytest.raises(TrainError):
        jaxninja.train(
            dataclasses.replace(config, name="diverged", lr=1e30), progress=QUIET
        )
    shutil.copytree(root / "whole", root / "half")
    for name in ("result.json", "samples.txt", "loss.png"):
        (root / "half" / name).unlink()
    for file in [*(root / "half").glob("*.jsonl"), *root.glob("half/checkpoints/*")]:
        file.write_bytes(file.read_bytes()[:-40])
    return root


def images(html):
    return re.findall(r'<img alt="([^"]*)" src="data:image/png;base64,', html)


def test_a_whole_run_has_every_part(runs):
    found = gather(runs / "whole")
    html = page([found])
    assert found.problems == []
    assert len(images(html)) == 11
    for words in ("Configuration", "Samples", "bn_momentum", "train loss", "log V is"):
        assert words in html
    assert {f.topic for f in findings(found)} >= {
        "loss",
        "start",
        "activations",
        "gradients",
        "updates",
        "batchnorm",
    }
    assert found.dead["h"][1] == 16


def test_runs_of_different_models_stand_in_one_table(runs):
    gathered = [gather(runs / name) for name in ("whole", "attentive", "half")]
    html = page(gathered).split("<main")[0]
    for found, model in zip(gathered, ("ninja", "transformer", "ninja"), strict=True):
        row = html.split(f"<tr><th>{found.name}</th>")[1].split("</tr>")[0]
        assert row.startswith(f"<td>{model}</td>")
        loss = found.result and found.result["clean_val_loss"]
        assert (f"<td>{loss:.4f}</td>" if loss else "<td>none</td>") in row
    alts = ["the training losses of all runs", "the validation losses of all runs"]
    assert images(html) == alts


def test_a_transformer_shows_what_it_attends_to(runs):
    found = gather(runs / "attentive")
    maps, read = attention(found.run)
    assert maps.shape == (1, 2, len(read), len(read))
    assert read[1:] in ITEMS
    assert found.kinds == {"h1": "gelu-tanh", "x1": "residual"}
    html = page([found])
    assert any("attend to" in alt for alt in images(html))
    assert "--batchnorm" not in html.split("<details>")[0]
    assert not [p for p in found.problems if "no figure" in p]


def test_nothing_is_fetched(runs):
    html = page([gather(runs / "whole")])
    assert "<script" not in html
    sources = re.findall(r'(?:src|href)="([^"]{0,22})', html)
    assert sources
    assert all(source.startswith("data:") for source in sources)


def test_a_diverged_run_says_so_and_shows_the_rest(runs):
    found = gather(runs / "diverged")
    said = [f for f in findings(found) if f.level == "act"]
    assert "not finite at step 1" in said[0].text
    assert any("h: 128 values are NaN or infinite" in f.text for f in said)
    last = found.diagnostics[-1]  # of the step whose loss is not finite
    assert (last["step"], last["loss"]) == (1, None)
    assert last["activations"]["h"]["histogram"]["nonfinite"] == 8 * 16
    html = page([found])
    assert len(images(html)) >= 8
    assert "no figure of" not in html


def test_a_run_without_diagnostics_says_how_to_get_them(runs):
    found = gather(runs / "plain")
    assert len(found.problems) == 1
    assert "--diagnose 0" in found.problems[0]
    assert images(page([found])) == [
        "the training loss",
        "where the units of h are flat",
        "the gradient of the logits",
        "the embedding",
    ]


def test_a_half_written_run_says_what_is_missing_and_shows_the_rest(runs):
    found = gather(runs / "half")
    text = " ".join(found.problems)
    assert "without the trained network" in text
    assert "has not ended: step 40 of 60" in text
    assert f"--resume {runs / 'half'}" in text
    html = page([found])
    assert "the training loss" in images(html)
    assert "the activations" in images(html)


def test_broken_files_cost_only_themselves(runs, tmp_path):
    shutil.copytree(runs / "whole", tmp_path / "broken")
    (tmp_path / "broken" / "result.json").write_text('{"train_loss": ')
    (tmp_path / "broken" / "metrics.jsonl").write_text("nonsense\n")
    lines = (tmp_path / "broken" / "diagnostics.jsonl").read_text().splitlines()
    record = json.loads(lines[-1])
    del record["activations"]["h"]["histogram"]["counts"]
    lines[-1] = json.dumps(record)
    (tmp_path / "broken" / "diagnostics.jsonl").write_text("\n".join(lines) + "\n")
    found = gather(tmp_path / "broken")
    html = page([found])
    text = " ".join(found.problems)
    assert "result.json is '{" in text
    assert "nonsense" in text
    assert "histogram.counts is missing" in text
    assert images(html) == []


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        gather(tmp_path / "nothing")
    (tmp_path / "config.json").write_text('{"a": 1}')
    with pytest.raises(RecordError, match=r"config\.json: config is missing"):
        gather(tmp_path)


def test_names_are_escaped(runs, tmp_path):
    shutil.copytree(runs / "plain", tmp_path / "<b>&run")
    html = page([gather(tmp_path / "<b>&run")])
    assert "<b>&run" not in html
    assert "&lt;b&gt;&amp;run" in html


def test_the_command(runs, capsys):
    assert main(["report", str(runs / "whole")]) == 0
    assert "written" in capsys.readouterr().out
    assert (runs / "whole" / "report.html").stat().st_size > 50_000
    assert main(["report", *(str(runs / n) for n in ("whole", "plain"))]) == 0
    html = (runs / "report.html").read_text()
    assert "Side by side" in html
    assert "<th>diagnose</th><td>20</td><td>0</td>" in html
    assert "<th>hidden</th><td>" not in html.split("<main")[0]
    assert main(["report", str(runs / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err


def browser():
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if shutil.which(name):
            return shutil.which(name)
    pytest.skip("no Chromium on this machine: the report was not opened in a browser")


FRAME = """<!doctype html><iframe id=f width={width} height=800 src="{file}"></iframe>
<pre id=o></pre><script>
onload = () => {{
  const d = document.getElementById("f").contentDocument;
  const images = [...d.images];
  document.getElementById("o").textContent = JSON.stringify({{
    drawn: images.filter(i => i.complete && i.naturalWidth > 300).length,
    images: images.length,
    wide: d.documentElement.scrollWidth,
    widest: Math.max(...images.map(i => i.getBoundingClientRect().right)),
    font: parseFloat(getComputedStyle(d.body).fontSize),
  }});
}};
</script>"""


@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser_offline(runs, tmp_path, width):
    """No console error, every figure drawn, nothing wider than the window."""
    html = page([gather(runs / name) for name in ("whole", "diverged", "half")])
    (tmp_path / "report.html").write_text(html)
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, file="report.html"))
    command = [
        browser(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",
        "--window-size=1400,900",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        frame.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    seen = json.loads(re.findall(r'<pre id="o">(.*?)</pre>', done.stdout)[0])
    assert seen["images"] == len(images(html)) == seen["drawn"] > 20
    assert seen["wide"] <= width
    assert seen["widest"] <= width
    assert seen["font"] >= 16
    assert not re.findall(r"^.*CONSOLE.*$", done.stderr, re.MULTILINE)


def test_the_browser_would_show_a_console_error(tmp_path):
    """The test above can fail: a refused script and a missing picture are reported."""
    bad = tmp_path / "bad.html"
    bad.write_text("<script>console.error('an error of ours')</script>")
    command = [browser(), "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += ["--enable-logging=stderr", "--dump-dom", Path(bad).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert re.search(r"CONSOLE.*an error of ours", done.stderr)
