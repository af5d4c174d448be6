"""Markdown of one notebook to HTML: formulas as MathML, headings with anchors, links within the page."""

import re
from dataclasses import dataclass, field
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from lib.report.page.formulas import to_mathml

_TAG = re.compile(r"\\tag\*?\{([^}]*)\}")
_NOT_LINKED = ["a", "code", "pre", "math", "script", "style", "svg", "h1", "h2", "h3", "h4", "h5", "h6"]
_INLINE_MATH = re.compile(r'[(\[]*<math (?![^>]*display="block")[^>]*>.*?</math>[).,;:!?\]]*', re.DOTALL)
_MENTION = re.compile(
    r"\b(?P<kind>Figure|Table|[Ee]quation)(?P<gap>[ \u00a0])"
    r"(?P<open>\()?(?P<label>[A-Z]?\d+)\b(?P<close>(?(open)\)))(?! (?:of|in)\b)"
    r"|\[(?P<numbers>\d+(?:, ?\d+)*)\]"
)


@dataclass(frozen=True)
class Heading:
    """A line of the contents list."""

    level: int
    anchor: str
    html: str


@dataclass
class Scope:
    """One notebook's place in the page.

    ``letter`` is empty for the main notebook and the appendix's letter otherwise; it goes in front of every
    label and anchor, so that each notebook can count its figures from 1.
    """

    letter: str
    path: Path
    notebooks: dict[str, str]  # stem of each notebook in the page -> anchor
    anchors: set[str]  # all anchors of the page, shared by its scopes
    said: dict[str, str] = field(default_factory=dict)  # what appendices explained so far -> letter, shared like these
    title: str = ""
    in_references: bool = False  # below the heading "References" of the main notebook
    headings: list[Heading] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)  # of its run, see lib/report/page/origin.py

    def anchor(self, kind: str, label: str) -> str:
        """``figure-2`` or ``figure-b2``; raises ValueError where the page has it already."""
        name = f"{kind}-{self.letter}{label}".lower()
        if name in self.anchors:
            raise ValueError(f"there are two of {kind.capitalize()} {label}; give each its own number.")
        self.anchors.add(name)
        return name

    def section(self, fragment: str) -> str:
        """The anchor of a heading from its text or from a link's fragment, as Jupyter writes it."""
        name = re.sub(r"[^\w]+", "-", unquote(fragment).lower()).strip("-")
        return f"{self.letter.lower()}-{name}" if self.letter else name


def markdown_to_html(source: str, scope: Scope) -> str:
    """HTML of a Markdown text; headings are added to ``scope``, local images are embedded."""
    html = MarkdownWithMath(renderer=_Renderer(scope)).render(source)
    # A browser would break the line between a formula and the full stop after it.
    return _INLINE_MATH.sub(lambda match: f'<span class="unbroken">{match[0]}</span>', html)


def plain(html: str) -> str:
    """The text of an HTML fragment."""
    return unescape(re.sub(r"<[^>]+>", "", html)).strip()


class _Renderer(IPythonRenderer):
    def __init__(self, scope: Scope) -> None:
        super().__init__(escape=False, embed_images=True, path=str(scope.path.parent))
        self.scope = scope

    def heading(self, text: str, level: int, **attrs: object) -> str:
        scope = self.scope
        if level == 1:
            if scope.title:
                raise ValueError(f"{plain(text)!r} is a second top-level heading; start it with ##, not #.")
            scope.title = text
            return ""
        level = min(level + bool(scope.letter), 6)
        anchor = base = scope.section(plain(text))
        scope.in_references = anchor == "references"
        count = 2
        while anchor in scope.anchors:
            anchor, count = f"{base}-{count}", count + 1
        scope.anchors.add(anchor)
        scope.headings.append(Heading(level, anchor, re.sub(r"</?a\b[^>]*>", "", text)))
        link = f'<a class="anchor" href="#{anchor}" aria-label="Link to this section">#</a>'
        return f'<h{level} id="{anchor}">{text} {link}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if url.startswith("#"):
            return f'<a href="#{self.scope.section(url)}">{text}</a>'
        if url.endswith(".ipynb"):
            stem = Path(unquote(url)).stem
            targets = [anchor for name, anchor in self.scope.notebooks.items() if name.startswith(stem)]
            return f'<a href="#{targets[0]}">{text}</a>' if targets else text
        written_out = ' class="url"' if unescape(text) == url else ""
        return f'<a{written_out} href="{escape(url)}">{text}</a>'

    def list(self, text: str, ordered: bool, **attrs: object) -> str:
        if not (ordered and self.scope.in_references):
            return super().list(text, ordered, **attrs)
        number = start = int(attrs.get("start") or 1)
        items = text.split("<li>")
        for i in range(1, len(items)):
            self.scope.anchors.add(f"ref-{number}")
            items[i], number = f'<li id="ref-{number}">{items[i]}', number + 1
        return f'<ol class="references" start="{start}">\n{"".join(items)}</ol>\n'

    def block_text(self, text: str) -> str:
        # A list item's text, in a box of its own that can scroll a long formula without hiding the item's mark.
        return f'<span class="item">{text}</span>' if "<math" in text else text

    def table(self, text: str) -> str:
        return f'<div class="scroll" tabindex="0"><table>\n{text}</table></div>\n'

    def inline_math(self, body: str) -> str:
        return to_mathml(body)

    def block_math(self, body: str) -> str:
        label = _TAG.search(body)
        math = to_mathml(_TAG.sub("", body), display=True)
        if not label:
            return f'<span class="equation">{math}</span>'
        anchor = self.scope.anchor("equation", label[1])
        number = f'<span class="number">({self.scope.letter}{label[1]})</span>'
        return f'<span class="equation" id="{anchor}">{math}{number}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")


def link_mentions(html: str, scope: Scope) -> str:
    """Links "Figure 2", "Table 1", "equation (3)" and citations such as "[4, 9]" in text to what they name.

    In an appendix a mention without a letter means its own figure and gets its letter. "Figure 2 of [9]" and
    whatever the page does not have stay as they are.
    """
    soup = BeautifulSoup(html, "html.parser")
    for text in soup.find_all(string=_MENTION):
        if not text.find_parent(_NOT_LINKED):
            linked = _MENTION.sub(lambda match: _linked(match, scope), escape(text, quote=False))
            text.replace_with(BeautifulSoup(linked, "html.parser"))
    return str(soup)


def _linked(match: re.Match[str], scope: Scope) -> str:
    if match["numbers"]:
        numbers = re.split(r", ?", match["numbers"])
        if not all(f"ref-{number}" in scope.anchors for number in numbers):
            return match[0]
        return "[" + ", ".join(f'<a href="#ref-{number}">{number}</a>' for number in numbers) + "]"
    label = match["label"] if match["label"][0].isalpha() else scope.letter + match["label"]
    anchor = f"{match['kind']}-{label}".lower()
    if anchor not in scope.anchors:
        return match[0]
    return f'<a href="#{anchor}">{match["kind"]}{match["gap"]}{match["open"] or ""}{label}{match["close"]}</a>'
