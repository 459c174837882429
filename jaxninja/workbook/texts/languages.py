"""The language that a learner is spoken to in."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from jaxninja.errors import ArgumentError
from jaxninja.workbook.texts import en, zh
from jaxninja.workbook.texts.wrapping import unspaced
from jaxninja.workbook.texts.zh.sentences import PHRASES

LANGUAGES = {"en": "English", "zh": "中文"}
SENTENCES = {"en": en.SENTENCES, "zh": zh.SENTENCES}
_PHRASES: dict[str, dict[str, str]] = {"en": {}, "zh": PHRASES}
_current: ContextVar[str] = ContextVar("language", default="en")


def known(language: str) -> str:
    """The language itself.

    Raises:
        ValueError: there is none of that name.
    """
    if language not in LANGUAGES:
        listed = " or ".join(f"{k} ({name})" for k, name in LANGUAGES.items())
        raise ArgumentError(f"language {language!r}: expected {listed}")
    return language


def current() -> str:
    """That of the sentences that are made now."""
    return _current.get()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Sentences are made in a language meanwhile."""
    token = _current.set(known(language))
    try:
        yield
    finally:
        _current.reset(token)


def sentence(key: str, **facts: object) -> str:
    """What a key says in the current language."""
    return unspaced(SENTENCES[current()][key].format_map(facts))


def listing(parts: Iterable[str]) -> str:
    """One part or several: a, b and c."""
    *most, last = parts
    if not most:
        return last
    return sentence("and", first=sentence("comma").join(most), second=last)


def phrase(text: str) -> str:
    """A few English words that are data elsewhere, in the current language."""
    return _PHRASES[current()].get(text, text)


def meant(given: str, known: Iterable[str]) -> str:
    """The end of a sentence on an unknown name: the nearest known one, if any."""
    near = difflib.get_close_matches(given, list(known), 1)
    return sentence("meant", name=near[0]) if near else ""


def stopped(text: str) -> str:
    """A sentence with a stop at its end."""
    stop = "。" if current() == "zh" else "."
    return text if text.endswith((".", "?", "。", "？")) else f"{text}{stop}"
