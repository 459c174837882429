"""Markdown and code as HTML, by the libraries of the extra `book`."""

import re
from collections.abc import Callable
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name

Resolve = Callable[[str], str | None]
_FORMATTER = HtmlFormatter(nowrap=True)


def code(text: str, language: str = "python") -> str:
    """A block of code, highlighted."""
    inside = highlight(text, _lexer(language), _FORMATTER)
    return f'<pre class="code">{inside.rstrip()}</pre>'


@cache
def _lexer(language: str):
    return get_lexer_by_name(language, stripnl=False)


def markdown(text: str, resolve: Resolve | None = None) -> str:
    """A page of Markdown; raw HTML in it is shown as text.

    Args:
        text: the page.
        resolve: a link's or a picture's address -> the address in the book, or None
            where it leads out of it: then a link's text stays, and no picture.
    """
    parser = _parser()
    tokens = parser.parse(text)
    if resolve is not None:
        for token in tokens:
            token.children = _resolved(token.children or [], resolve)
    return parser.renderer.render(tokens, parser.options, {})


def _resolved(tokens: list[Token], resolve: Resolve) -> list[Token]:
    found, opened = [], []
    for token in tokens:
        if token.type == "image":
            src = resolve(str(token.attrs["src"]))
            token.attrs["src"] = src or ""
            found += [token] if src else []
            continue
        if token.type == "link_open":
            href = resolve(str(token.attrs["href"]))
            opened.append(href)
            token.attrs["href"] = href or ""
        keep = opened[-1] if token.type in ("link_open", "link_close") else True
        if token.type == "link_close":
            opened.pop()
        found += [token] if keep else []
    return found


def inline(text: str) -> str:
    """A sentence of Markdown, without a paragraph around it."""
    return _parser().renderInline(text)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("table_open", lambda *_: '<div class="wide"><table>')
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    return parser


def _fence(self, tokens, index, options, env) -> str:
    names = {"python": "python", "py": "python", "sh": "bash", "bash": "bash"}
    token = tokens[index]
    return code(token.content, names.get(token.info.strip(), "text"))


def _heading(self, tokens, index, options, env) -> str:
    """With a name to link to, as the sites that show a README make it."""
    words = re.sub(r"[^\w\s-]", "", tokens[index + 1].content.lower())
    return f'<{tokens[index].tag} id="{"-".join(words.split())}">'
