"""The rendered report: executed notebooks assembled into one HTML file that loads nothing.

    python -m lib.report.page.build OUT.html MAIN.ipynb [APPENDIX.ipynb ...]

The main notebook is the paper; each other notebook becomes an appendix (A, B, ...). What a notebook does to be
shown well here, and still reads well in JupyterLab:

- **Headings.** One ``# `` heading, the title, in the first Markdown cell; ``## `` and ``### `` below it. In the
  main notebook what stands before the first ``## `` is the abstract: question, answer, table.
- **Captions.** A code cell displays a figure (or several), then ``Markdown("**Figure 1.** What to see ...")``.
  The caption takes everything displayed above it in the cell since the last caption. ``**Table 1.**`` likewise,
  for a DataFrame, a Styler or a Markdown table; the page puts it above the table. Every notebook counts from 1;
  an appendix's labels get its letter (Figure B1). The first sentence of a caption is the image's text
  alternative.
- **Formulas.** ``$...$`` and ``$$...$$``, in Markdown cells and in Markdown that code displays. ``\\tag{1}``
  numbers a displayed equation.
- **Links.** "Figure 1", "Table 1" and "equation (1)" in the text link to their target by themselves, as does
  the citation [4] to item 4 of the numbered list under ``## References`` of the main notebook.
  ``[text](#Heading-text)`` and ``[text](02_linear_training.ipynb)`` work too.
- **Code** is folded away, parameters under their own name. Printed text and progress bars are folded as
  "Messages", so what is to be read is displayed (Markdown, DataFrame, figure). A cell tagged ``hide`` is left
  out, raw cells and widgets too. What a cell explains in the words of an earlier appendix becomes a link to that.
- **HTML** that a cell displays goes into the page as it is, scripts included: the page's own explorer comes so.
"""

import base64
import os
import string
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import nbformat
from markupsafe import Markup

from lib.files import reading, write_text
from lib.refusal import Parser
from lib.report.page.offline import loaded_from_elsewhere
from lib.report.page.origin import foot, origin_of
from lib.report.page.outputs import MESSAGES, Block, cell_blocks
from lib.report.page.template import rendered
from lib.report.page.text import Heading, Scope, link_mentions, plain

_PAGE = Path(__file__).parent


def build(out: str | os.PathLike, main: str | os.PathLike, appendices: Sequence[str | os.PathLike] = ()) -> Path:
    """Writes the page of ``main`` and ``appendices``, executed notebooks, to ``out`` and returns its path.

    The same notebooks give the same bytes. Raises ValueError, in one sentence, where a notebook is missing, was not run
    through or cannot be shown; says so of an image without a caption.
    """
    out, paths = Path(out), [Path(main), *map(Path, appendices)]
    if len(paths) > 27:
        raise ValueError(f"A report has at most 26 appendices, one per letter; {len(paths) - 1} were given.")
    letters = ["", *string.ascii_uppercase][: len(paths)]
    places = [f"appendix-{letter.lower()}" if letter else "top" for letter in letters]
    notebooks = {path.stem: place for path, place in zip(paths, places, strict=True)}
    anchors, said = {"contents", "unfold", *places}, {}
    scopes = [Scope(letter, path, notebooks, anchors, said) for letter, path in zip(letters, paths, strict=True)]
    blocks = [_read(scope) for scope in scopes]
    # Links second, when all anchors are known: a mention may point ahead.
    parts = [
        {"anchor": place, "scope": scope, "title": Markup(scope.title), "body": body}
        for place, scope, body in zip(places, scopes, map(_body, blocks, scopes), strict=True)
    ]
    html = rendered(
        _PAGE,
        "report",
        title=plain(scopes[0].title),
        paper=parts[0],
        appendices=parts[1:],
        contents=_contents(scopes),
        origin=foot([scope.origin for scope in scopes]),
        font=base64.b64encode((_PAGE / "stix-two-math.woff2").read_bytes()).decode(),
    )
    loads = loaded_from_elsewhere(html)
    if loads:
        raise ValueError(f"The page would have to load {loads[0]}; embed it in the notebook instead.")
    write_text(out, html)
    return out


def _read(scope: Scope) -> list[Block]:
    """The blocks of a notebook; its title and headings go into ``scope``."""
    path = scope.path
    with reading(path, "run it first (make report)"):
        notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    if code and all(cell.execution_count is None for cell in code):
        raise ValueError(f"{path.name} has not been executed; run it first (make report).")
    scope.origin = origin_of(notebook)
    blocks = []
    for number, cell in enumerate(notebook.cells, 1):
        blocks += cell_blocks(cell, number, scope)
    if not scope.title:
        raise ValueError(f"{path.name} has no title; begin it with a heading of one #.")
    return blocks


def _contents(scopes: list[Scope]) -> list[tuple[Heading, list[Heading]]]:
    """Two levels of the contents list: sections with their subsections, appendices with their sections."""
    entries: list[tuple[Heading, list[Heading]]] = []
    for scope in scopes:
        if scope.letter:
            title = f"Appendix {scope.letter}. {scope.title}"
            entries.append((Heading(2, f"appendix-{scope.letter.lower()}", title), []))
        for heading in scope.headings:
            if heading.level == 2:
                entries.append((heading, []))
            elif heading.level == 3 and entries:
                entries[-1][1].append(heading)
    return entries


def _body(blocks: list[Block], scope: Scope) -> Markup:
    """HTML of a notebook's blocks; folds that follow each other share one line, those of one title are one."""
    parts = []
    for kind, group in groupby(blocks, key=lambda block: block.kind):
        if kind == "fold":
            titled = groupby(group, key=lambda block: block.label)
            parts.append('<div class="folds">' + "\n".join(_fold(title, folds) for title, folds in titled) + "</div>")
        elif kind == "prose":
            parts += [link_mentions(block.html, scope) for block in group]
        else:
            parts += [_figure(block, scope) for block in group]
    return Markup("\n".join(parts))


def _fold(title: str, blocks: Iterable[Block]) -> str:
    name, body = "messages" if title == MESSAGES else "code", "\n".join(block.html for block in blocks)
    return f'<details class="{name}"><summary>{title}</summary>{body}</details>'


def _figure(block: Block, scope: Scope) -> str:
    if not block.caption:
        return f'<div class="output">{block.html}</div>'
    caption = f"<figcaption>{link_mentions(block.caption, scope)}</figcaption>"
    inside = caption + block.html if block.label == "table" else block.html + caption
    return f'<figure class="{block.label}" id="{block.anchor}">{inside}</figure>'


def main(arguments: list[str] | None = None) -> None:
    """The command line: builds the page and prints its path, or says in one sentence why it cannot."""
    parser = Parser("python -m lib.report.page.build", description="Executed notebooks into one page.")
    parser.add_argument("out", metavar="OUT.html", type=Path)
    parser.add_argument("main", metavar="MAIN.ipynb", type=Path, help="the paper")
    parser.add_argument("appendices", metavar="APPENDIX.ipynb", type=Path, nargs="*")
    given = parser.parse_args(arguments)
    try:
        out = build(given.out, given.main, given.appendices)
    except ValueError as error:
        sys.exit(f"The report was not built. {error}")
    print(f"{out.resolve()} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
