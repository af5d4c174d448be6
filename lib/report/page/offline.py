"""The check that a page is one file: nothing in it is loaded from anywhere else."""

import re
from html.parser import HTMLParser

_LOADING_ATTRIBUTES = {"src", "srcset", "poster", "data", "background"}
_LOADING_LINKS = {"link", "image", "use", "script", "base"}  # they load what their href names; <a> does not
_INSIDE = ("data:", "blob:", "about:", "#")
_STYLE_LOADS = re.compile(r"@import\s*(?:url\()?[^;]*|url\(\s*[\"']?(?!data:|#)[^)]*", re.IGNORECASE)


def loaded_from_elsewhere(html: str) -> list[str]:
    """What a browser would fetch to show ``html``: ``<element attribute="address">`` or a piece of style.

    Links to follow (``<a href>``) are no loads. What a script fetches when it runs is not seen here; the
    page's content security policy forbids it.
    """
    parser = _Loads()
    parser.feed(html)
    parser.close()
    return parser.found


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            name = name.removeprefix("xlink:")
            loads = name in _LOADING_ATTRIBUTES or (name == "href" and tag in _LOADING_LINKS)
            if loads and value and not value.strip().lower().startswith(_INSIDE):
                self.found.append(f'<{tag} {name}="{value[:80]}">')
            if name == "style":
                self.found += _STYLE_LOADS.findall(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += _STYLE_LOADS.findall(data)
