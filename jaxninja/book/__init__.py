"""The handbook: static pages written from the library itself.

`pages` makes them, `write` puts them into a folder. A page needs no network, no script
and no other file.
"""

from jaxninja.book.build import is_book, pages, write

__all__ = ["is_book", "pages", "write"]
