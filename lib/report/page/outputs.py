"""A notebook's cells to the blocks of a page: prose, figures and tables with captions, folded code."""

import base64
import re
import struct
import sys
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from statistics import median

from bs4 import BeautifulSoup
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from lib.report.page.origin import ORIGIN
from lib.report.page.text import Scope, markdown_to_html, plain

_CAPTION = re.compile(r"\s*\*\*(?P<kind>Figure|Table) (?P<label>\w+)\.\*\*\s*")
_PANDAS_STYLE = re.compile(r"<style scoped>.*?</style>\s*", re.DOTALL)
_INDEX_NAMES = re.compile(
    r"(?P<start><thead>\s*<tr[^>]*>\s*)(?P<blank>(?:<th></th>\s*)+)(?P<columns>(?:<th>[^<]+</th>\s*)+)"
    r"</tr>\s*<tr>\s*(?P<names>(?:<th>[^<]+</th>\s*)+)(?:<th></th>\s*)+(?=</tr>\s*</thead>)"
)
MESSAGES = "Messages"  # the title of what a cell printed
WIDE = 5  # columns beyond which a table is set smaller
EXPLANATION = 30  # words from which on prose explains, and is not said again
WORDS = 9  # letters in most cells of a column beyond which it holds words, not numbers
_WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Block:
    """A piece of the page. ``kind``: prose (linked to what it mentions), output (left as it is) or fold.

    Of a fold, ``label`` is the title and ``html`` what is folded.
    """

    kind: str
    html: str
    caption: str = ""
    label: str = ""
    anchor: str = ""


def cell_blocks(cell: NotebookNode, number: int, scope: Scope) -> list[Block]:
    """The blocks of one cell; ``number`` counts the notebook's cells from 1 and is used in messages.

    Raises ValueError, naming notebook and cell, where the cell ended in an error or cannot be shown.
    """
    place = f"{scope.path.name}, cell {number}"
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            raise ValueError(
                f"{place} ended in an error ({output.ename}: {strip_ansi(output.evalue)}); "
                "run the notebook through before building the report."
            )
    tags = cell.metadata.get("tags", [])
    if "hide" in tags or cell.cell_type == "raw":
        return []
    try:
        if cell.cell_type == "markdown":
            return [Block("prose", markdown_to_html(cell.source, scope))]
        blocks = [*_code(cell.source, tags), *_outputs(cell.outputs, scope)]
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    if any(block.html.startswith("<img") and not block.caption for block in blocks):
        print(f"Note: {place} shows an image without a caption.", file=sys.stderr)
    return blocks


def _code(source: str, tags: list[str]) -> list[Block]:
    if not source.strip():
        return []
    title = "Code"
    if "parameters" in tags:
        title = "Parameters (defaults)"
    if "injected-parameters" in tags:
        title = "Parameters (this run)"
    code = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return [Block("fold", f'<pre class="highlight"><code>{code}</code></pre>', label=title)]


def _outputs(outputs: list[NotebookNode], scope: Scope) -> list[Block]:
    blocks: list[Block] = []
    shown: list[NotebookNode] = []  # displayed since the last caption
    streams: dict[str, str] = {}  # apart, because a progress bar on one would write over the other's lines
    for output in outputs:
        if output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
            continue
        if _WIDGET in output.data or ORIGIN in output.metadata:
            continue  # needs a kernel: nothing to show in a page; or stands in its foot
        match = _CAPTION.match(output.data.get("text/markdown", ""))
        if not match:
            shown.append(output)
        elif not shown:
            name = f"{match['kind']} {match['label']}"
            raise ValueError(f"the caption of {name} has nothing above it in its cell; display it first.")
        else:
            blocks.append(_captioned(shown, output.data["text/markdown"], match, scope))
            shown = []
    blocks += [_said_before(output, scope) or _display(output, scope, alt="") for output in shown]
    messages = "\n".join(filter(None, (final_text(text).strip("\n") for text in streams.values())))
    if messages:
        blocks.append(Block("fold", f"<pre>{escape(messages)}</pre>", label=MESSAGES))
    return blocks


def _said_before(output: NotebookNode, scope: Scope) -> Block | None:
    """A link to the earlier appendix with the same explanation; short texts are results, and code is shown again."""
    text = output.data.get("text/markdown", "").strip()
    if not scope.letter or len(text.split()) < EXPLANATION or "```" in text:
        return None
    letter = scope.said.setdefault(text, scope.letter)
    if letter == scope.letter:
        return None
    return Block("prose", f'<p>As in <a href="#appendix-{letter.lower()}">Appendix {letter}</a>.</p>')


def _captioned(shown: list[NotebookNode], source: str, match: re.Match[str], scope: Scope) -> Block:
    kind, label, text = match["kind"], match["label"], source[match.end() :]
    caption = markdown_to_html(f"**{kind} {scope.letter}{label}.** {text}", scope)
    first_sentence = re.split(r"(?<=[.?!])\s", plain(markdown_to_html(text, scope)), maxsplit=1)[0]
    alt = f"{kind} {scope.letter}{label}: {first_sentence}"
    body = "\n".join(_display(output, scope, alt).html for output in shown)
    return Block("output", body, caption, kind.lower(), scope.anchor(kind, label))


def _display(output: NotebookNode, scope: Scope, alt: str) -> Block:
    """The richest form of an output that a page can show."""
    data = output.data
    if "text/html" in data:
        html = _PANDAS_STYLE.sub("", data["text/html"]).replace('<table border="1" ', "<table ")
        html = _INDEX_NAMES.sub(_one_header_row, html)
        if "<table" in html:
            html = f'<div class="scroll" tabindex="0">{_typeset(html)}</div>'
        return Block("output", html)
    if "image/png" in data:
        return Block("output", _image("".join(data["image/png"].split()), alt))
    if "text/markdown" in data:
        return Block("prose", markdown_to_html(data["text/markdown"], scope))
    if "text/plain" in data:
        return Block("output", f'<pre class="result">{escape(strip_ansi(data["text/plain"]))}</pre>')
    raise ValueError(f"an output of type {', '.join(data)} cannot be shown; display HTML or an image.")


def _typeset(table: str) -> str:
    """A number stays on one line with its spread, an interval on one line; columns of words begin at the left.

    Commits are cut to ten digits; tables of many columns are marked, to be set smaller.
    """
    table = table.replace(" ± ", "&nbsp;±&nbsp;").replace("I(x; z)", "I(x;&nbsp;z)")
    table = re.sub(r"(\[[+−\d.]+,) (?=[+−\d.]+\])", r"\1&nbsp;", table)
    table = re.sub(r"(?<=<td>)([0-9a-f]{10})[0-9a-f]{30}(?=</td>)", r"\1", table)
    parsed = BeautifulSoup(table, "html.parser")
    rows = [row.find_all(["th", "td"], recursive=False) for row in parsed.find_all("tr")]
    for column in list(zip_longest(*rows))[1:]:
        letters = [len(re.findall(r"[^\W\d_]", cell.get_text())) for cell in column if cell and cell.name == "td"]
        if letters and median(letters) > WORDS:
            for cell in filter(None, column):
                cell["class"] = "words"
    if max(map(len, rows)) > WIDE:
        parsed.table["class"] = [*parsed.table.get("class", ()), "wide"]
    return str(parsed)


def _one_header_row(match: re.Match[str]) -> str:
    """pandas puts the index's name in a row of its own below the names of the columns; here it stands beside them."""
    if match["blank"].count("<th>") != match["names"].count("<th>"):
        return match[0]
    return match["start"] + match["names"] + match["columns"]


def _image(content: str, alt: str) -> str:
    """An image from the base64 of a PNG, whose first 24 bytes end in its width and height."""
    width, height = struct.unpack(">II", base64.b64decode(content[:32])[16:])
    return f'<img src="data:image/png;base64,{content}" alt="{escape(alt)}" width="{width}" height="{height}">'


def final_text(stream: str) -> str:
    """What a terminal shows at the end of a stream: of a progress bar, which overwrites its line, the last state."""
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in strip_ansi(stream).split("\n"))
