"""The check that a page is one file: nothing in it is loaded from anywhere else."""

import re

from bs4 import BeautifulSoup

_LOADING_ATTRIBUTES = {"src", "srcset", "poster", "data", "background"}
_LOADING_LINKS = {"link", "image", "use", "script", "base"}  # they load what their href names; <a> does not
_INSIDE = ("data:", "blob:", "about:", "#")
_STYLE_LOADS = re.compile(r"@import\s*(?:url\()?[^;]*|url\(\s*[\"']?(?!data:|#)[^)]*", re.IGNORECASE)


def loaded_from_elsewhere(html: str) -> list[str]:
    """What a browser would fetch to show ``html``: ``<element attribute="address">`` or a piece of style.

    Links to follow (``<a href>``) are no loads. What a script fetches when it runs is not seen here; the
    page's content security policy forbids it.
    """
    found: list[str] = []
    for element in BeautifulSoup(html, "html.parser").find_all(True):
        for attribute, value in element.attrs.items():
            name = attribute.removeprefix("xlink:")
            loads = name in _LOADING_ATTRIBUTES or (name == "href" and element.name in _LOADING_LINKS)
            if loads and value and not value.strip().lower().startswith(_INSIDE):
                found.append(f'<{element.name} {name}="{value[:80]}">')
        style = element.get_text() if element.name == "style" else element.get("style", "")
        found += _STYLE_LOADS.findall(style)
    return found
