"""The report: whole, broken and half-written runs, and in a real browser, offline."""

import dataclasses
import json
import re
import shlex
import shutil

import jax
import numpy as np
import pytest

import jaxninja
from jaxninja.cli import main
from jaxninja.errors import TrainError
from jaxninja.report import findings, gather, page, sweeps
from jaxninja.report.command import written
from jaxninja.report.figures import attention, parts
from jaxninja.storage.records import RecordError
from jaxninja.training.config import TrainConfig
from jaxninja.training.progress import Progress
from jaxninja.training.runs.descriptions import RunError
from tests import browser
from tests.runs import ITEMS

QUIET = Progress()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders: whole, diverged, plain (no diagnostics), long (many lines), half (as a
    crash leaves it), attentive (a transformer)."""
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
    for other in (
        dataclasses.replace(config, name="plain", diagnose=0),
        dataclasses.replace(config, name="long", log_every=10, diagnose=10),
    ):
        jaxninja.train(other, progress=QUIET)
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


def figures(html):
    return re.findall(r'<svg tabindex="0"[^>]* aria-label="([^"]*)"', html)


@pytest.fixture(scope="module")
def whole(runs):
    """The run that ended, and its page."""
    found = gather(runs / "whole")
    return found, page([found])


def test_a_whole_run_has_every_part(runs, whole):
    found, html = whole
    assert found.problems == []
    assert set(figures(html)) >= {
        "the activations before the first step",
        "the activations",
        "the gradients by layer",
        "the gradients of the weights",
        "the update:data ratios",
        "the norm of the gradient",
        "running against calibrated statistics",
        "the gradient of the logits",
        "the embedding",
    }
    assert "no figure of" not in html
    assert '<th scope="row">bn_momentum</th>' in html
    assert "log V" in html
    assert {f.topic for f in findings(found)} >= {
        "loss",
        "start",
        "activations",
        "gradients",
        "updates",
        "batchnorm",
    }
    assert found.dead["h"][1] == 16


def test_what_matters_is_at_the_head(whole):
    """Losses, verdicts with links that lead to them, samples, date and command."""
    found, html = whole
    head = html.split("</header>")[0]
    for part in ("val", "train", "test"):
        assert f"<dd>{found.result[f'{part}_loss']:.4f}</dd>" in head
    said = findings(found)
    for level in ("act", "watch", "good"):
        assert f"<b>{sum(f.level == level for f in said)}</b>&nbsp;{level}" in head
    links = set(re.findall(r'href="#([^"]+)"', head))
    assert links
    assert links <= set(re.findall(r' id="([^"]+)"', html))
    assert all(item in head for item in found.samples.split("\n"))
    assert found.versions["date"] in head
    assert f"jax {found.versions['jax']}" in head
    command = head.split('<pre class="command">')[1].split("</pre>")[0]
    assert command.startswith("jaxninja train --data /")
    assert "--steps 60 --batch-size 8 " in command
    assert "--no-keep-best" in command
    assert "--lr" not in command.replace("--lr-drop", "")


def test_three_points_are_a_table(whole):
    html = whole[1]
    assert not [alt for alt in figures(html) if "loss" in alt]
    table = html.split("<figcaption>the training loss</figcaption>")[1]
    table = table.split("</table>")[0]
    for line in whole[0].metrics:
        assert f'<th scope="col">{line["step"]}</th>' in table
        assert f"<td>{line['train_loss']:.4g}</td>" in table


def test_a_layer_has_a_row_of_statistics(whole):
    found, html = whole
    last = found.diagnostics[-1]["activations"]["h"]
    row = html.split('<th scope="row">h</th>')[1].split("</tr>")[0]
    cells = re.findall("<td>(.*?)</td>", row)
    dead, units = found.dead["h"]
    assert cells[0] == "tanh"
    assert cells[2:5] == [
        f"{last['std']:.4g}",
        f"{last['saturated']:.1%}",
        f"{dead} of {units}",
    ]


def test_the_command_makes_the_same_configuration():
    config = TrainConfig(model="gru", steps=40, lr=0.003, clip=1.0, keep_best=False)
    words = shlex.split(written(config.to_dict()))
    assert words[:2] == ["jaxninja", "train"]
    given = "--model gru --steps 40 --lr 0.003 --clip 1.0 --no-keep-best"
    assert shlex.join(words[2:]) == given
    assert written(TrainConfig().to_dict()) == "jaxninja train"
    data_decide = TrainConfig(model="transformer", context=12)
    assert written(data_decide.to_dict()) == "jaxninja train --model transformer"
    tiny = TrainConfig(model="gpt2", size="gpt2-tiny", data="a b.txt")
    assert written(tiny.to_dict()) == (
        "jaxninja train --model gpt2 --data 'a b.txt' --size gpt2-tiny"
    )


def test_runs_lie_over_each_other(runs):
    """One figure for all, a class for each run, boxes to hide them, one table."""
    gathered = [gather(runs / name) for name in ("whole", "plain", "long")]
    html = page(gathered)
    above = html.split("Each run by itself")[0]
    assert figures(above)[0] == "the losses of all runs"
    first = above.split("<svg")[1].split("</svg>")[0]
    for n, found in enumerate(gathered):
        assert first.count(f'class="curve-{n}"') >= 2  # curves and a label
        assert f">{found.name}</text>" in first
        assert f'data-curve="curve-{n}"> {found.name}</label>' in above
    assert html.count('<details class="run"') == 3
    assert '<th scope="row">diagnose</th><td>20</td><td>0</td><td>10</td>' in above
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_runs_of_different_models_stand_in_one_table(runs):
    gathered = [gather(runs / name) for name in ("whole", "attentive", "half")]
    html = page(gathered).split("</header>")[0]
    for found, model in zip(gathered, ("ninja", "transformer", "ninja"), strict=True):
        row = html.split(f">{found.name}</a></th>")[1].split("</tr>")[0]
        assert f"<td>{model}</td>" in row
        loss = found.result and found.result["clean_val_loss"]
        assert (f"<td>{loss:.4f}</td>" if loss else "<td>none</td>") in row


def test_a_transformer_shows_what_it_attends_to(runs):
    found = gather(runs / "attentive")
    maps, read = attention(found.run)
    assert maps.shape == (1, 2, len(read), len(read))
    assert "".join(read[1:]) in ITEMS
    assert read[0] == "."
    assert found.kinds == {"h1": "gelu-tanh", "x1": "residual"}
    html = page([found])
    assert any("attend to" in alt for alt in figures(html))
    assert "--batchnorm" not in html.split("<details>")[0]
    assert not [p for p in found.problems if "no figure" in p]
    nowhere = jax.tree.map(lambda p: p * np.nan, found.run.params)
    found.run.state = found.run.state._replace(params=nowhere)
    assert not any("attend to" in part.alt for part in parts(found))


def test_nothing_is_fetched(whole):
    html = whole[1]
    sources = re.findall(r'(?:src|href)="([^"]{0,22})', html)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "default-src 'none'" in html
    assert html.count("<script") == 1


def test_a_diverged_run_says_so_and_shows_the_rest(runs):
    found = gather(runs / "diverged")
    said = [f for f in findings(found) if f.level == "act"]
    assert said[0].topic == "loss"
    assert "step 1" in said[0].text
    assert any(re.search(r"\bh\b.*\b128\b", f.text) for f in said)
    last = found.diagnostics[-1]  # of the step whose loss is not finite
    assert (last["step"], last["loss"]) == (1, None)
    assert last["activations"]["h"]["histogram"]["nonfinite"] == 8 * 16
    html = page([found])
    assert len(figures(html)) >= 4
    assert "no figure of" not in html


def test_a_run_without_diagnostics_says_how_to_get_them(runs):
    found = gather(runs / "plain")
    assert len(found.problems) == 1
    assert "--diagnose 0" in found.problems[0]
    drawn = set(figures(page([found]))) - {"where the units of h are flat"}
    assert drawn == {"the gradient of the logits", "the embedding"}


def test_a_half_written_run_says_what_is_missing_and_shows_the_rest(runs):
    found = gather(runs / "half")
    assert any("network" in problem for problem in found.problems)
    (ended,) = (p for p in found.problems if "--resume" in p)
    assert re.search(r"\b40\b.*\b60\b", ended)
    assert f"--resume {runs / 'half'}" in ended
    html = page([found])
    assert "<figcaption>the training loss</figcaption>" in html
    assert "the activations" in figures(html)


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
    for place in ("result.json", "metrics.jsonl", "nonsense", "histogram.counts"):
        assert place in text
    assert "--diagnose" not in text  # it was diagnosed, and it ended
    assert "has not ended" not in text
    assert figures(html) == []


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=str(tmp_path / "nothing")):
        gather(tmp_path / "nothing")
    (tmp_path / "config.json").write_text('{"a": 1}')
    with pytest.raises(RecordError, match=r"config\.json: config\b"):
        gather(tmp_path)


def test_names_are_escaped(runs, tmp_path):
    shutil.copytree(runs / "plain", tmp_path / "<b>&run")
    html = page([gather(tmp_path / "<b>&run")])
    assert "<b>&run" not in html
    assert "&lt;b&gt;&amp;run" in html


def test_a_sweep_stands_for_its_members(runs, tmp_path, monkeypatch, capsys):
    """Copies of a run as members, of which one failed and one has not begun."""
    root, seeds, rates = tmp_path / "sweep", [0, 1], [0.1, 0.2]
    root.mkdir()
    plan = json.loads((runs / "whole" / "config.json").read_text())
    plan |= {"seeds": seeds, "rates": rates}
    (root / "plan.json").write_text(json.dumps(plan))
    assert main(["report", str(root)]) == 2
    assert f"jaxninja sweep --resume {root}" in capsys.readouterr().err
    names = ["lr-0.1-seed-0", "lr-0.1-seed-1", "lr-0.2-seed-0"]
    for name in names:
        shutil.copytree(runs / "whole", root / name)
    losses = [{"train_loss": 2.0, "val_loss": v} for v in (2.2, 2.1)]
    given = zip(names, [0, 1, 0], [0.1, 0.1, 0.2], strict=True)
    rows = [{"path": str(root / n), "seed": s, "lr": lr} for n, s, lr in given]
    ends = [*losses, {"failed_at": 7}]
    rows = [row | end for row, end in zip(rows, ends, strict=True)]
    (root / "sweep.json").write_text(json.dumps(rows)[:-5])
    assert main(["report", str(root)]) == 2
    assert re.search(r"sweep\.json is .* cut short", capsys.readouterr().err)
    (root / "sweep.json").write_text(json.dumps(rows))
    monkeypatch.setattr(sweeps, "CLOSELY", 1)
    assert main(["report", str(root)]) == 0
    html = (root / "report.html").read_text()
    assert "<h1>3 runs</h1>" in html
    row = html.split('<th scope="row">0.1</th>')[1].split("</tr>")[0]
    assert re.findall("<td>(.*?)</td>", row)[:4] == [
        "2",
        "0",
        "2.0000 (0.0000)",
        "2.1500 (0.0500)",
    ]
    details = re.findall(r'<details class="run"[^>]*><summary>(.*?)</summary>', html)
    assert details == names[1:]  # the best, and the one that failed
    assert f"<code>jaxninja report {root}" in html


def test_the_command(runs, capsys):
    assert main(["report", str(runs / "whole")]) == 0
    assert str(runs / "whole" / "report.html") in capsys.readouterr().out
    assert (runs / "whole" / "report.html").stat().st_size > 50_000
    assert main(["report", *(str(runs / n) for n in ("whole", "plain"))]) == 0
    html = (runs / "report.html").read_text()
    assert "<h1>2 runs</h1>" in html
    assert '<th scope="row">hidden</th><td>' not in html.split("Each run by itself")[0]
    twice = str(runs / "whole"), str(runs / "plain" / ".." / "whole")
    assert main(["report", *twice, "--out", str(runs / "twice.html")]) == 0
    assert "2 runs" not in (runs / "twice.html").read_text()
    assert main(["report", str(runs / "nothing")]) == 2
    assert str(runs / "nothing") in capsys.readouterr().err


FRAME = """<!doctype html><iframe id=f width={width} height=800 src="{file}"></iframe>
<pre id=o></pre><script>
onload = () => {{
  const d = document.getElementById("f").contentDocument;
  for (const details of d.querySelectorAll("details")) details.open = true;
  const figures = [...d.querySelectorAll("figure > svg")];
  const right = e => e.getBoundingClientRect().right;
  const box = d.querySelector("input[data-curve]");
  const curve = d.querySelector("#all svg .curve-0");
  const before = d.defaultView.getComputedStyle(curve).display;
  box.click();
  const after = d.defaultView.getComputedStyle(curve).display;
  box.click();
  const svg = d.querySelector("#all svg");
  svg.dispatchEvent(new d.defaultView.KeyboardEvent("keydown",
    {{key: "ArrowRight", cancelable: true}}));
  const cut = [...d.querySelectorAll("td, th, h1, h3, li, p")].filter(
    e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0);
  document.getElementById("o").textContent = JSON.stringify({{
    drawn: figures.filter(f => f.getBoundingClientRect().width > 250).length,
    columns: new Set(figures.map(f => Math.round(f.getBoundingClientRect().left))).size,
    wide: d.documentElement.scrollWidth,
    widest: Math.max(...figures.map(right),
      ...figures.flatMap(f => [...f.querySelectorAll("text")].map(right))),
    small: Math.min(...figures.flatMap(f => [...f.querySelectorAll("text")].map(
      t => parseFloat(d.defaultView.getComputedStyle(t).fontSize) * f.getScreenCTM().a
    ))),
    cut: cut.map(e => e.textContent.slice(0, 60)),
    family: d.defaultView.getComputedStyle(svg.querySelector("text")).fontFamily,
    body: d.defaultView.getComputedStyle(d.body).fontFamily,
    page: d.defaultView.getComputedStyle(d.body).backgroundColor,
    ink: d.defaultView.getComputedStyle(svg.querySelector("text")).fill,
    before, after, read: svg.nextElementSibling.textContent,
  }});
}};
</script>"""


@pytest.fixture(scope="module")
def three(runs):
    return page([gather(runs / name) for name in ("long", "diverged", "half")])


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False)])
def test_in_a_browser_offline(three, tmp_path, width, dark):
    """No console error, every figure drawn, nothing wider than the window, no word
    broken; dark with the page; runs can be hidden and values read."""
    (tmp_path / "report.html").write_text(three)
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, file="report.html"))
    seen, said = browser.seen(frame, tmp_path / "profile", not dark, "1400,900")
    assert not said
    assert seen["drawn"] == len(figures(three)) > 15
    assert (seen["columns"] == 1) == (width == 360)
    assert seen["wide"] <= width
    assert seen["widest"] <= width
    assert seen["small"] >= 11
    assert seen["cut"] == []
    assert seen["family"] == seen["body"]
    assert (seen["before"], seen["after"]) == ("inline", "none")
    assert re.match(r"step \d+: long, train \d", seen["read"])
    light = [
        sum(map(int, re.findall(r"\d+", seen[k])[:3])) > 380 for k in ("page", "ink")
    ]
    assert light == [not dark, dark]


ALONE = """<!doctype html><iframe id=f width=360 height=800 src="report.html"></iframe>
<pre id=o></pre><script>
onload = () => {
  const d = document.getElementById("f").contentDocument;
  const texts = [...d.querySelectorAll("figure > svg text")].map(
    e => e.getBoundingClientRect());
  document.getElementById("o").textContent = JSON.stringify({
    texts: texts.length, right: Math.max(...texts.map(b => b.right)),
    left: Math.min(...texts.map(b => b.left)),
  });
};
</script>"""


def test_the_labels_of_one_run_are_whole_on_a_phone(whole, tmp_path):
    """Those at a curve's end, too: they are in the page's margin."""
    (tmp_path / "report.html").write_text(whole[1])
    (tmp_path / "frame.html").write_text(ALONE)
    seen, said = browser.seen(tmp_path / "frame.html", tmp_path / "profile")
    assert not said
    assert seen["texts"] > 50
    assert -1 <= seen["left"] < seen["right"] <= 360


def test_the_browser_would_show_a_console_error(tmp_path):
    """The test above can fail: a refused script and a missing picture are reported."""
    bad = tmp_path / "bad.html"
    error = "<script>console.error('an error of ours')</script>"
    bad.write_text(f"<pre id=o>0</pre>{error}")
    _, said = browser.seen(bad, tmp_path / "profile")
    assert "an error of ours" in said[0]
