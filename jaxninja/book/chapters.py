"""The pages that the library's folders carry, where they do, as chapters."""

import posixpath
from base64 import b64encode
from pathlib import Path

import jaxninja
from jaxninja.book import frame, markup
from jaxninja.models.network import PAGES
from jaxninja.rules import manual

PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
CODE = {"rules": ("rules", vars(manual)), "models": ("networks", PAGES)}
_PACKAGE = Path(jaxninja.__file__).parent


def pages(folder: Path = _PACKAGE) -> list[frame.Page]:
    """Their list and themselves; nothing where no folder has a README.md."""
    names = sorted(path.parent.name for path in folder.glob("*/README.md"))
    if not names:
        return []
    each = [_page(folder / name / "README.md", names) for name in names]
    items = "".join(f"<li>{frame.link(f'{n}.html', n, code=True)}</li>" for n in names)
    index = (
        '<h1>Chapters</h1><p class="lead">How each part of the library is built, as '
        f"its folder says.</p><ul>{items}</ul>"
    )
    return [frame.Page("chapters/index.html", "Chapters", index), *frame.chained(each)]


def _page(file: Path, names: list[str]) -> frame.Page:
    """Its links lead to other chapters and to pages of rules and networks, or are text;
    its pictures are in the page, where their files are."""
    name, package = file.parent.name, file.parent.parent

    def resolve(href: str) -> str | None:
        if href.startswith(("http://", "https://", "#")):
            return href
        target = posixpath.normpath(posixpath.join(name, href.partition("#")[0]))
        chapter = target.removesuffix("/README.md")
        if chapter in names:
            return f"{chapter}.html"
        path = package / target
        if path.suffix in PICTURES:
            return _picture(path)
        part, pages = CODE.get(target.partition("/")[0], ("", {}))
        return f"../{part}/{path.stem}.html" if path.stem in pages else None

    body = markup.markdown(file.read_text(encoding="utf-8"), resolve)
    return frame.Page(f"chapters/{name}.html", name, body)


def _picture(path: Path) -> str | None:
    """The file itself as an address, since a page fetches nothing."""
    if not path.is_file():
        return None
    data = b64encode(path.read_bytes()).decode()
    return f"data:{PICTURES[path.suffix]};base64,{data}"
