"""The page builder on small invented notebooks: captions, formulas, folds, links, and what it refuses."""

import base64
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.report.page.build import build, main
from lib.report.page.formulas import to_mathml
from lib.report.page.offline import loaded_from_elsewhere
from lib.report.page.origin import states_of_code
from lib.report.page.outputs import final_text

# One white pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8////fwAJ/gP+nQ1VWAAAAABJRU5ErkJggg=="
IMAGE = {"image/png": PNG, "text/plain": "<Figure>"}


def shown(**data: str) -> dict:
    return new_output("display_data", data={name.replace("__", "/"): value for name, value in data.items()})


def image() -> dict:
    return new_output("display_data", data=IMAGE)


def markdown(text: str) -> dict:
    return new_output("display_data", data={"text/markdown": text})


def code(*outputs: dict, source: str = "run()", tags: tuple[str, ...] = ()) -> dict:
    return new_code_cell(source, outputs=list(outputs), execution_count=1, metadata={"tags": list(tags)})


def notebook(path: Path, *cells: dict | str, title: str = "# A title") -> Path:
    cells = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in (title, *cells)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture
def page(tmp_path: Path):
    """The page of one notebook with these cells, without style and script."""

    def make(*cells: dict | str) -> str:
        out = build(tmp_path / "out.html", notebook(tmp_path / "paper.ipynb", *cells))
        html = out.read_text(encoding="utf-8")
        return re.search(r"<main>.*</main>", html, re.DOTALL)[0]

    return make


# Captions


def test_caption_takes_what_was_displayed_since_the_last_one(page) -> None:
    html = page(code(image(), image(), markdown("**Figure 1.** Two. More."), image(), markdown("**Figure 2.** One.")))
    first, second = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    assert first.count("<img") == 2 and second.count("<img") == 1
    assert 'id="figure-1"' in first and 'id="figure-2"' in second
    assert first.index("<img") < first.index("<figcaption>")
    assert first.count('alt="Figure 1: Two."') == 2
    assert "Two. More.</p></figcaption>" in first.replace("\n", "")


def test_table_has_its_caption_above_and_loses_pandas_style(page) -> None:
    table = pd.DataFrame({"MIG": [0.5]}, index=["linear"])
    html = page(code(shown(text__html=table._repr_html_()), markdown("**Table 1.** The arms.")))
    figure = re.search(r"<figure.*?</figure>", html, re.DOTALL)[0]
    assert 'class="table" id="table-1"' in figure
    assert figure.index("<figcaption>") < figure.index("<table")
    assert "<style" not in figure and "border=" not in figure
    assert "<td>0.5</td>" in figure


def test_name_of_a_table_index_stands_beside_the_columns(page) -> None:
    table = pd.DataFrame({"KL": [1.0], "MIG": [0.5]}, index=pd.Index(["linear"], name="arm"))
    html = page(code(shown(text__html=table._repr_html_())))
    head = re.search(r"<thead>.*</thead>", html, re.DOTALL)[0]
    assert head.count("<tr") == 1
    assert re.findall(r"<th>(.*?)</th>", head) == ["arm", "KL", "MIG"]
    two_levels = pd.concat({"nats": table}, axis=1)
    html = page(code(shown(text__html=two_levels._repr_html_())))
    assert re.search(r"<thead>.*</thead>", html, re.DOTALL)[0].count("<tr") == 3


def test_image_has_its_size_and_a_note_without_caption(page, capsys) -> None:
    assert 'width="1" height="1"' in page(code(image()))
    assert capsys.readouterr().err == "Note: paper.ipynb, cell 2 shows an image without a caption.\n"


def test_caption_above_nothing_is_refused(page) -> None:
    with pytest.raises(ValueError, match=r"paper\.ipynb, cell 2: .*Figure 3 has nothing above it"):
        page(code(markdown("**Figure 3.** Where?")))


def test_same_figure_twice_is_refused(page) -> None:
    cell = code(image(), markdown("**Figure 1.** One."))
    with pytest.raises(ValueError, match=r"cell 3: there are two of Figure 1"):
        page(cell, code(*cell.outputs))


# Outputs


def test_text_outputs(page) -> None:
    result = new_output("execute_result", data={"text/plain": "a < \x1b[31mb\x1b[0m"}, execution_count=1)
    assert '<pre class="result">a &lt; b</pre>' in page(code(result))


def test_own_html_passes_with_its_script(page) -> None:
    explorer = "<div id='explorer'></div><script>if (1 < 2 && true) { start('Figure 1'); }</script>"
    html = page(code(shown(text__html=explorer)), code(image(), markdown("**Figure 1.** One.")))
    assert explorer in html


def test_widgets_raw_cells_and_hidden_cells_are_left_out(page) -> None:
    widget = {"application/vnd.jupyter.widget-view+json": "{}", "text/plain": "IntSlider()"}
    html = page(
        code(new_output("display_data", data=widget), source="slider"),
        code(markdown("secret"), source="hidden()", tags=("hide",)),
        nbformat.v4.new_raw_cell("raw text"),
    )
    assert "slider" in html and "IntSlider" not in html
    assert "secret" not in html and "hidden" not in html and "raw text" not in html


def test_unknown_output_is_refused(page) -> None:
    with pytest.raises(ValueError, match=r"cell 2: an output of type application/x-new cannot be shown"):
        page(code(new_output("display_data", data={"application/x-new": "?"})))


def test_code_is_folded_and_parameters_are_named(page) -> None:
    html = page(
        code(source="x = 1 < 2", tags=("parameters",)), code(source="x = 3", tags=("injected-parameters",)), code()
    )
    assert re.findall(r'<details class="code"><summary>(.*?)</summary>', html) == [
        "Parameters (defaults)",
        "Parameters (this run)",
        "Code",
    ]
    assert "<details open" not in html
    assert '<span class="o">&lt;</span>' in html


def test_folds_of_one_title_that_follow_each_other_are_one(page) -> None:
    html = page(code(source="first"), code(source="second"), "Words.", code(source="third"))
    folded = re.findall(r'<details class="code"><summary>Code</summary>(.*?)</details>', html, re.DOTALL)
    assert len(folded) == 2 and folded[0].count("<pre") == 2
    assert "first" in folded[0] and "second" in folded[0] and "third" in folded[1]


def test_streams_are_folded_apart(page) -> None:
    html = page(
        code(
            new_output("stream", name="stderr", text="\r 10%|#"),
            new_output("stream", name="stdout", text="epoch <1>\n"),
            new_output("stream", name="stderr", text="\r100%|##########\n"),
        )
    )
    messages = re.search(r'<details class="messages"><summary>Messages</summary><pre>(.*?)</pre>', html, re.DOTALL)[1]
    assert messages == "100%|##########\nepoch &lt;1&gt;"


@pytest.mark.parametrize(
    ("stream", "final"),
    [
        ("one\ntwo\n", "one\ntwo\n"),
        ("\r 1%|\r 50%|##\r100%|####|\n", "100%|####|\n"),
        ("\rloss 10.5\rloss 9   \n", "loss 9\n"),  # tqdm pads what has become shorter
        ("\x1b[31mred\x1b[0m\r123", "123"),
    ],
)
def test_final_text_is_what_a_terminal_shows(stream: str, final: str) -> None:
    assert final_text(stream) == final


# Formulas


def test_formulas_in_cells_outputs_and_captions_become_mathml(page) -> None:
    html = page(
        "Inline $x_1$, and $$y = \\frac{1}{2} \\tag{7}$$",
        code(markdown("computed $z^{2}$")),
        code(image(), markdown("**Figure 1.** With $w$.")),
    )
    assert html.count("<math") == 4
    assert "$" not in html and "\\" not in html
    assert 'id="equation-7"' in html and '<span class="number">(7)</span>' in html


def test_formula_uses_only_what_browsers_know() -> None:
    """MathML Core has no mathvariant but normal; operators are no words."""
    tex = r"\mathbb R, \mathbb E, \mathcal N, \mathcal L, D_{\mathrm{KL}}\!\left(q\right), \max_x \log p"
    formula = BeautifulSoup(to_mathml(tex), "html.parser")
    assert not formula.find_all(mathvariant=True)
    assert all(letter in formula.get_text() for letter in "ℝ𝔼𝒩ℒ")
    assert {"KL", "max", "log"} <= {name.get_text() for name in formula.find_all("mi")}
    assert not [sign for sign in formula.find_all("mo") if sign.get_text().isalpha()]


def test_limits_of_sums() -> None:
    assert "<munderover" in to_mathml(r"\sum_{j=1}^{J} x_j", display=True)
    assert "<munder" in to_mathml(r"\max_x f", display=True)
    assert "<msub" in to_mathml(r"\max_x f")


def test_aligned_lines_become_a_table() -> None:
    formula = to_mathml(r"\begin{aligned} a &= b \\ c &= d \end{aligned}", display=True)
    assert [row.get_text() for row in BeautifulSoup(formula, "html.parser").find_all("mtr")] == ["a=b", "c=d"]


@pytest.mark.parametrize("tex", [r"\frac{a", r"\nosuchcommand x", r"\begin{tikzcd} a \end{tikzcd}", "a & b"])
def test_unknown_tex_is_refused_with_its_place(page, tex: str) -> None:
    with pytest.raises(ValueError, match=r"^paper\.ipynb, cell 2: [^\n]*formula"):
        page(f"Text ${tex}$.")


# Links and headings


def test_mentions_and_citations_become_links(page) -> None:
    html = page(
        "$$x \\tag{1}$$\n\nBy equation (1) (Equation 1)",
        "See Figure 1 and [1, 2], not Figure 9, Figure 1 of [3], [0, 1] or `Figure 1`.",
        code(image(), markdown("**Figure 1.** One.")),
        "## References\n\n1. First.\n2. Second.",
        "And more:\n\n3. Third.",
    )
    assert '<a href="#figure-1">Figure 1</a> and [<a href="#ref-1">1</a>, <a href="#ref-2">2</a>]' in html
    assert '<a href="#equation-1">equation (1)</a> (<a href="#equation-1">Equation 1</a>)' in html
    assert 'not Figure 9, Figure 1 of [<a href="#ref-3">3</a>], [0, 1] or <code>Figure 1</code>' in html
    assert '<li id="ref-1">First.' in html and '<li id="ref-3">Third.' in html


def test_appendices_get_letters(tmp_path: Path) -> None:
    figure = code(image(), markdown("**Figure 1.** One."))
    out = build(
        tmp_path / "page.html",
        notebook(tmp_path / "04.ipynb", "Figure 1, Figure B1, [data](01_data.ipynb), [gone](09.ipynb).", figure),
        [
            notebook(tmp_path / "01_data-seed1.ipynb", "## Factors", title="# Data"),
            notebook(tmp_path / "02.ipynb", "## Factors\n\nFigure 1, [up](#Factors).", figure, title="# Training"),
        ],
    )
    html = out.read_text()
    assert '<a href="#figure-1">Figure 1</a>, <a href="#figure-b1">Figure B1</a>' in html
    assert '<a href="#appendix-a">data</a>, gone.' in html  # a link to a notebook is by the start of its name
    assert '<a href="#figure-b1">Figure B1</a>, <a href="#b-factors">up</a>' in html
    assert '<h3 id="a-factors">' in html and '<h3 id="b-factors">' in html
    assert html.count("<h1>") == 1
    contents = re.search(r"<nav.*?</nav>", html, re.DOTALL)[0]
    assert re.findall(r'href="#([^"]*)"', contents) == ["appendix-a", "a-factors", "appendix-b", "b-factors"]


def test_what_two_appendices_explain_in_the_same_words_is_said_once(tmp_path: Path) -> None:
    explained = f"\nThe controller turns $e$ into\n\n$$ \\beta. \\tag{{2}} $$\n{'and so on ' * 10}"
    same = code(markdown(explained), markdown(f"```\nits code {'x ' * 30}\n```"), markdown("No traversals are drawn."))
    own = [code(markdown(f"What {arm} has.")) for arm in ("linear", "adaptive")]
    cells = ["## The rule", same, "Text of a cell."]
    out = build(
        tmp_path / "page.html",
        notebook(tmp_path / "04.ipynb", same),
        [
            notebook(tmp_path / "02.ipynb", *cells, own[0], title="# Linear"),
            notebook(tmp_path / "03.ipynb", *cells, own[1], title="# Adaptive"),
        ],
    )
    html = out.read_text()
    assert html.count("The controller turns") == 2  # in the paper and in the first appendix
    assert 'id="equation-2"' in html and 'id="equation-a2"' in html and 'id="equation-b2"' not in html
    assert html.count("its code") == html.count("No traversals are drawn.") == 3 and html.count("Text of a cell.") == 2
    assert html.count('As in <a href="#appendix-a">Appendix A</a>.') == 1
    assert "What linear has." in html and "What adaptive has." in html


def test_headings_get_distinct_anchors_and_one_title(page) -> None:
    html = page("## Setup", "## Setup", "### Details of $C$")
    assert re.findall(r'<h[23] id="([^"]*)"', html) == ["setup", "setup-2", "details-of-c"]
    with pytest.raises(ValueError, match=r"cell 2: 'Another' is a second top-level heading"):
        page("# Another")


def test_title_and_language(tmp_path: Path) -> None:
    paper = notebook(tmp_path / "paper.ipynb", title="# Is $C$ <b>critical</b> & why?")
    html = build(tmp_path / "out.html", paper).read_text()
    assert "<title>Is C critical &amp; why?</title>" in html
    assert '<html lang="en">' in html and 'name="viewport"' in html


# Nothing from the network


@pytest.mark.parametrize(
    "html",
    [
        '<p><img src="https://a.org/b.png"></p>',
        "<p><IMG SRC='//a.org/b.png'></p>",
        '<link rel="stylesheet" href="http://a.org/b.css">',
        '<script src="b.js"></script>',
        "<style>@import url(http://a.org/b.css);</style>",
        "<style>@import 'b.css';</style>",
        '<p style="background: url(https://a.org/b.png)">x</p>',
        '<svg><image xlink:href="b.png"/></svg>',
        '<video poster="b.png"></video>',
        '<iframe src="https://a.org"></iframe>',
    ],
)
def test_loads_are_found_and_refused(page, html: str) -> None:
    assert len(loaded_from_elsewhere(html)) == 1
    with pytest.raises(ValueError, match="The page would have to load"):
        page(code(shown(text__html=html)))


def test_page_loads_nothing_and_keeps_links(page) -> None:
    html = page("A [paper](https://arxiv.org/abs/1), <https://b.org>", code(image(), markdown("**Figure 1.** One.")))
    assert loaded_from_elsewhere(html) == []
    assert '<a href="https://arxiv.org/abs/1">paper</a>' in html
    assert '<a class="url" href="https://b.org">https://b.org</a>' in html


def test_local_image_is_embedded(page, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(base64.b64decode(PNG))
    assert f'src="data:image/png;base64,{PNG}"' in page("![An image](a.png)")
    with pytest.raises(ValueError, match=r'would have to load <img src="b\.png"'):
        page("![An image](b.png)")


# Refusals and the file


def test_error_in_a_notebook_is_refused_even_if_hidden(page) -> None:
    error = new_output("error", ename="ZeroDivisionError", evalue="division by zero", traceback=[])
    with pytest.raises(ValueError, match=r"^paper\.ipynb, cell 3 ended in an error \(ZeroDivisionError: division"):
        page("Text", code(error, tags=("hide",)))


def test_unexecuted_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    paper = notebook(tmp_path / "paper.ipynb", new_code_cell("1 + 1"))
    with pytest.raises(ValueError, match=r"paper\.ipynb has not been executed"):
        build(tmp_path / "out.html", paper)
    with pytest.raises(ValueError, match=r"none\.ipynb is missing; run it first"):
        build(tmp_path / "out.html", tmp_path / "none.ipynb")
    (tmp_path / "text.ipynb").write_text("not JSON")
    with pytest.raises(ValueError, match=r"text\.ipynb cannot be read \(.*JSON.*\); run it first"):
        build(tmp_path / "out.html", tmp_path / "text.ipynb")
    with pytest.raises(ValueError, match="has no title"):
        build(tmp_path / "out.html", notebook(tmp_path / "untitled.ipynb", title="Text."))


def test_a_number_stays_on_one_line_with_its_spread(page) -> None:
    table = pd.DataFrame({"linear": ["0.09 ± 0.05"]}, ["MIG"]).to_html()
    html = page(code(shown(text__html=table), markdown("**Table 1.** Both.")))
    assert "<td>0.09\xa0±\xa00.05</td>" in html and "wide" not in html
    many = pd.DataFrame({f"arm {i}": ["0.09 ± 0.05"] for i in range(5)}, ["MIG"]).to_html()
    assert 'class="dataframe wide"' in page(code(shown(text__html=many), markdown("**Table 1.** All.")))


def test_an_interval_stays_on_one_line_and_a_column_of_words_begins_at_the_left(page) -> None:
    table = pd.DataFrame({"here": ["+0.1 [−0.2, +0.4]"], "why": ["the interval contains zero and is wide"]}, ["MIG"])
    html = page(code(shown(text__html=table.to_html()), markdown("**Table 1.** Claims.")))
    assert "<td>+0.1 [−0.2,\xa0+0.4]</td>" in html
    assert '<td class="words">the interval' in html and '<th class="words">why</th>' in html
    run = pd.DataFrame({"run": ["0.25", "0.5", "Intel(R) Xeon(R) Processor", "0123456789" + 30 * "a"]}, list("abcd"))
    html = page(code(shown(text__html=run.to_html()), markdown("**Table 1.** A run.")))
    assert "words" not in html and "<td>0123456789</td>" in html


def test_the_foot_tells_by_what_code_the_notebooks_ran(tmp_path: Path) -> None:
    def origin(code_state: str, **facts: str) -> dict:
        known = {"code": code_state * 64, "commit": "0123456789", "date": "2020-01-01"} | facts
        line = new_output("display_data", data={"text/plain": "code and versions"}, metadata={"origin": known})
        return code(line)

    paper = notebook(tmp_path / "paper.ipynb", origin("a", data="d" * 64))
    same, other = (notebook(tmp_path / f"{name}.ipynb", origin(name)) for name in "ab")
    text = BeautifulSoup(build(tmp_path / "out.html", paper, [same]).read_text(), "html.parser").get_text()
    foot = f"Commit 0123456789; state of the code {'a' * 12}; run on 2020-01-01; data set SHA-256 {'d' * 64}."
    assert foot in text and "code and versions" not in text
    mixed = build(tmp_path / "out.html", paper, [other]).read_text()
    assert f"state of the code {'a' * 12} and {'b' * 12};" in mixed
    assert [len(states_of_code([paper, more])) for more in (same, other)] == [1, 2]
    assert states_of_code([notebook(tmp_path / "old.ipynb")]) == {"unknown"}


def test_failed_build_leaves_the_old_page(tmp_path: Path) -> None:
    out = tmp_path / "folder" / "out.html"
    paper = notebook(tmp_path / "paper.ipynb", "Text.")
    first = build(out, paper).read_bytes()
    assert build(out, paper).read_bytes() == first
    notebook(tmp_path / "paper.ipynb", "![x](none.png)")
    with pytest.raises(ValueError, match="would have to load"):
        build(out, paper)
    assert out.read_bytes() == first
    assert [path.name for path in out.parent.iterdir()] == ["out.html"]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paper = notebook(tmp_path / "paper.ipynb", code(image()))
    out = tmp_path / "out.html"
    main([str(out), str(paper)])
    said = capsys.readouterr()
    assert said.out.startswith(str(out.resolve()))
    assert said.err == "Note: paper.ipynb, cell 2 shows an image without a caption.\n"
    with pytest.raises(SystemExit, match=r"^The report was not built\. .*none\.ipynb is missing"):
        main([str(out), str(tmp_path / "none.ipynb")])
