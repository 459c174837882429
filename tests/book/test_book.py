"""The handbook: whole, its links lead somewhere, and in a real browser, offline."""

import json
import re
from html import unescape

import pytest

from jaxninja import cli
from jaxninja.book import build, chapters, findings_page, frame, markup, reference
from jaxninja.models.network import PAGES
from jaxninja.rules import RULES
from jaxninja.workbook.exercises import EXERCISES
from tests import browser


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The whole book, written once by the command."""
    folder = tmp_path_factory.mktemp("handbook") / "book"
    assert cli.main(["book", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def texts(book):
    return {
        file.relative_to(book).as_posix(): file.read_text(encoding="utf-8")
        for file in book.rglob("*.html")
    }


def test_there_is_a_page_for_all(texts):
    expected = {f"rules/{rule.name}.html" for rule in RULES}
    expected |= {f"networks/{name}.html" for name in PAGES}
    expected |= {f"reference/{name}.html" for name in reference.MODULES}
    expected |= {"index.html", "findings.html", "workbook.html", "glossary.html"}
    assert expected <= {*texts}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_has_every_part(texts, rule):
    page = texts[f"rules/{rule.name}.html"]
    for part in ("Derivation", "Forward and backward", "What is kept", "Certificate",
                 "Graph of the forward pass", "Where it is used"):  # fmt: skip
        assert f"<h2>{part}</h2>" in page
    assert page.count("<math ") > 1
    assert '<svg class="graph"' in page
    assert "arg0" not in page  # the graph has the arguments' names
    plain = unescape(re.sub(r"<[^>]*>", "", page))
    assert f"def {rule.bwd.__name__}" in plain
    assert f"def {rule.fwd.__name__}" in plain


@pytest.mark.parametrize(
    ("rule", "networks"),
    [("batchnorm", ("ninja", "deep")), ("cross_entropy", ("ninja", "transformer"))],
)
def test_a_rule_is_told_where_it_is_used(texts, rule, networks):
    """By a network itself, or by a part that networks share."""
    used = texts[f"rules/{rule}.html"].split("<h2>Where it is used</h2>")[1]
    for name in networks:
        assert f'href="../networks/{name}.html"' in used


def test_a_network_stands_beside_its_backward_pass(texts):
    for name, network in PAGES.items():
        plain = unescape(re.sub(r"<[^>]*>", "", texts[f"networks/{name}.html"]))
        assert "def init" in plain
        assert ("def value_and_grad" in plain) == (network.by_hand is not None)


def test_every_link_leads_somewhere(book, texts):
    for path, text in texts.items():
        for href in re.findall(r'<a href="([^"]*)"', text):
            if href.startswith("https://"):
                continue
            target, _, mark = unescape(href).partition("#")
            file = (book / path).parent / target if target else book / path
            assert file.is_file(), (path, href)
            if mark:
                page = texts[file.resolve().relative_to(book.resolve()).as_posix()]
                assert f'id="{mark}"' in page, (path, href)


def test_no_page_fetches_or_runs_anything(texts):
    fetches = r"<script|\ssrc=(?!\"data:)|@import|url\((?!#)"
    for path, text in texts.items():
        assert not re.search(fetches, text), path
        fetched = re.findall(r"<link[^>]*>", text)
        assert fetched == ['<link rel="icon" href="data:,">'], path


def test_the_exercises_are_there_and_their_solutions_are_not(texts):
    page = texts["workbook.html"]
    for exercise in EXERCISES.values():
        assert f'id="exercise{exercise.number}"' in page
        for name in exercise.names:
            assert f"<code>d{name}</code>" in page
    assert "counts_sum_inv * dprobs\n" not in page


def codes_in_the_checker():
    folder = reference._PACKAGE / "check"
    text = "".join(file.read_text() for file in folder.rglob("*.py"))
    return {*re.findall(r'"([EWN]-[A-Z]+)"', text)}


FINDINGS, HINTS = map(findings_page.examples, ("findings", "hints"))


def test_every_code_of_the_checker_has_one_example():
    assert sorted(e.code for e in FINDINGS) == sorted(codes_in_the_checker())
    assert {e.code for e in HINTS} <= {*dict(findings_page.templates())}


@pytest.mark.parametrize("example", FINDINGS + HINTS, ids=lambda e: e.code)
def test_a_finding_is_shown_with_what_the_checker_says_and_a_fix_that_passes(
    texts, example
):
    section = texts["findings.html"].split(f'id="{findings_page.anchor(example)}"')[1]
    said = section.split('<pre class="said">')[1].split("</pre>")[0]
    assert example.is_hint or example.code in said
    fixed = findings_page.check(example, example.right)
    assert fixed.ok
    assert findings_page.sentences_of(fixed) == {}


def test_an_example_that_does_not_show_its_code_is_refused():
    right = FINDINGS[0]._replace(wrong=FINDINGS[0].right)
    with pytest.raises(LookupError, match=right.code):
        findings_page.said(right)


def test_every_package_that_exports_names_has_a_page():
    folder = reference._PACKAGE
    files = [f for f in folder.rglob("__init__.py") if "__all__ =" in f.read_text()]
    packages = [f.parent.relative_to(folder.parent).parts for f in files]
    listed = {*reference.MODULES} - {"jaxninja.rules"}  # its names are its RULES
    assert {".".join(parts) for parts in packages} == listed


def test_every_public_name_is_documented():
    assert [*reference.undocumented()] == []


def test_a_name_without_a_docstring_is_found(monkeypatch):
    backward = reference.source()["engine.api.backward"]
    monkeypatch.setattr(backward, "docstring", None)
    assert "jaxninja.engine.backward" in [*reference.undocumented()]


def test_a_chapter_links_to_pages_of_the_book_only(tmp_path):
    (tmp_path / "check").mkdir()
    (tmp_path / "rules").mkdir()
    text = "[r](../rules/README.md) [b](../rules/normalisation/batchnorm.py) [x](a.py)"
    (tmp_path / "check" / "README.md").write_text(f"# Check\n\n{text} <b>raw</b>\n")
    (tmp_path / "rules" / "README.md").write_text("# Rules\n")
    _, check, rules = chapters.pages(tmp_path)
    assert '<a href="rules.html">r</a> <a href="../rules/batchnorm.html">' in check.body
    assert "</a> x &lt;b&gt;raw" in check.body
    assert (check.after, rules.before) == (rules[:2], check[:2])
    assert chapters.pages(tmp_path / "check") == []


def test_a_chapter_links_to_networks_and_holds_its_pictures(tmp_path):
    """A page fetches nothing; what an installed package lacks leaves no caption."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.svg").write_text("<svg/>")
    text = "[m](gru.py) [b](by_hand/mlp.py) [d](by_hand) ![A](a.svg) ![No](b.png)"
    (tmp_path / "models" / "README.md").write_text(text)
    page = chapters.pages(tmp_path)[1].body
    assert '<a href="../networks/gru.html">m</a> <a href="../networks/mlp' in page
    assert 'd <img src="data:image/svg+xml;base64,PHN2Zy8+" alt="A"' in page
    assert "No" not in page


def test_markdown_and_code_are_escaped():
    assert "<script" not in markup.markdown("<script>x</script>")
    assert "<i>" not in markup.code("a = '<i>'")


def test_an_older_book_is_replaced_and_other_files_are_not(
    tmp_path, capsys, monkeypatch
):
    page = frame.Page("index.html", "Handbook", "new")
    monkeypatch.setattr("jaxninja.book.build.pages", lambda: [page])
    file = tmp_path / "index.html"
    assert cli.main(["book", str(tmp_path)]) == 0
    file.write_text(file.read_text().replace("new", "old"))
    assert cli.main(["book", str(tmp_path)]) == 0
    assert "new" in file.read_text()
    file.write_text("mine")
    capsys.readouterr()
    assert cli.main(["book", str(tmp_path)]) == 2
    assert "no handbook" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert cli.main(["book", str(tmp_path), "--replace"]) == 0
    assert "new" in file.read_text()


def test_pages_of_an_older_book_are_removed_and_nothing_else(tmp_path, monkeypatch):
    made = [
        frame.Page(path, path, "x") for path in ("index.html", "a/b.html", "c.html")
    ]
    monkeypatch.setattr(build, "pages", lambda: made)
    folder = tmp_path / "book"
    [*build.write(folder)]
    outside = tmp_path / "outside.html"
    outside.write_text((folder / "c.html").read_text())
    (folder / "c.html").write_text("the reader's own by now")
    (folder / "a" / "d.html").write_text((folder / "a" / "b.html").read_text())
    listed = (folder / build.LIST).read_text()
    (folder / build.LIST).write_text(f"{listed}../outside.html\n")
    monkeypatch.setattr(build, "pages", lambda: made[:1])
    [*build.write(folder)]
    left = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*")}
    assert left == {
        *("outside.html", "book/index.html", "book/c.html", "book/a/d.html"),
        f"book/{build.LIST}",
    }
    assert (folder / build.LIST).read_text() == "index.html\n"


def test_where_it_cannot_be_written_is_said_at_once(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["book", str(tmp_path / "file")]) == 2
    assert "expected a folder" in capsys.readouterr().err
    assert cli.main(["book", str(tmp_path / "file" / "book")]) == 2
    assert "may not be written to" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("jaxninja.cli.book.EXTRA", ("pygments", "no_such_module"))
    assert cli.main(["book", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "no_such_module" in error
    assert "jaxninja[book]" in error


SHOWN = (
    *("index", "rules/index", "rules/batchnorm", "rules/attention", "rules/gelu"),
    *("networks/index", "networks/transformer", "findings", "workbook", "glossary"),
    *("reference/index", "reference/jaxninja.check", "reference/jaxninja.rules"),
    *("chapters/workbook", "chapters/models"),
)
FRAME = """<!doctype html><iframe id=f width=360 height=800></iframe><pre id=o></pre>
<script>
const found = [], frame = document.getElementById("f"), pages = PAGES;
const light = c => {
  const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255).map(
    v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const ground = e => {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (c.startsWith("rgb(")) return c;
  }
};
const contrast = e => {
  const [a, b] = [getComputedStyle(e).color, ground(e)].map(light);
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
};
frame.onload = () => {
  const d = frame.contentDocument;
  if (!d.title) return next();
  const texts = [...d.querySelectorAll("p, a, code, pre, th, td, li, h2, .soft, span")];
  found.push({
    title: d.title, wide: d.documentElement.scrollWidth,
    least: Math.min(...texts.map(contrast)),
    small: Math.min(99, ...[...d.querySelectorAll("svg text")].map(
      t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)),
    ground: light(ground(d.body)), font: parseFloat(getComputedStyle(d.body).fontSize),
  });
  next();
};
const next = () => {
  if (pages.length) frame.src = pages.shift();
  else document.getElementById("o").textContent = JSON.stringify(found);
};
onload = next;
</script>"""


def opened(folder, pages, profile, scheme="light"):
    """What a browser sees of each page at a phone's width, and its console's lines."""
    around = folder / f"frame-{scheme}.html"
    addresses = json.dumps([f"{page}.html" for page in pages])
    around.write_text(FRAME.replace("PAGES", addresses))
    return browser.seen(around, profile, scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_offline(book, tmp_path, scheme):
    """On a phone: nothing wider than the page, all text against its ground by 4.5."""
    seen, said = opened(book, SHOWN, tmp_path / "profile", scheme)
    assert len(seen) == len(SHOWN)
    for page in seen:
        assert page["wide"] <= 360, page
        assert page["least"] >= 4.5, page
        assert page["font"] >= 16, page
        assert page["small"] >= 11, page
        assert (page["ground"] > 0.5) == (scheme == "light"), page
    assert said == []


def test_a_browser_would_show_what_is_wrong_with_a_page(tmp_path):
    """The test above can fail: too wide, too pale, and a picture from a network."""
    pale = "color: #999; background: #fff; width: 900px"
    picture = '<img src="http://somewhere.invalid/a.png" alt="">'
    bad = frame.Page("bad.html", "Bad", f'<p style="{pale}">x</p>{picture}')
    (tmp_path / "bad.html").write_text(frame.html(bad, []))
    [page], said = opened(tmp_path, ["bad"], tmp_path / "profile")
    assert page["wide"] > 360
    assert page["least"] < 4.5
    assert any("Content Security Policy" in line for line in said)
