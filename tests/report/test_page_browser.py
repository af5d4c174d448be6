"""The rendered report in a real browser: loads nothing, says nothing on the console, fits a phone and a desktop.

The page is made from invented notebooks with all that the real ones have. To look at it, set REPORT_SCREENSHOTS to a
folder: the screenshots and the page are left there.
"""

import base64
import io
import os
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.report.page.build import build

WIDTHS = (360, 768, 1280)

ABSTRACT = r"""# Is continuous bottleneck pressure on a VAE critical for disentanglement?

**Question.** Does a VAE separate the factors of its data better when the capacity $C$ of its bottleneck is raised only
while the controller reports enough pressure, instead of on a fixed schedule?

**Answer.** In this invented run, no: the two arms differ by less than the spread between seeds (Table 1)."""

BODY = r"""## Introduction

A variational autoencoder [1] maximises a lower bound on the likelihood of an image $x$. With a multiplier
$\beta$ on the divergence [4, 6] the bound reads

$$\mathcal{L}(\theta, \phi; x) = \mathbb{E}_{q_\phi(z \mid x)}\left[\log p_\theta(x \mid z)\right]
 - \beta\, D_{\mathrm{KL}}\!\left(q_\phi(z \mid x) \,\|\, p(z)\right). \tag{1}$$

Here $z \in \mathbb{R}^{10}$ and $p(z) = \mathcal{N}(0, I)$. ControlVAE [9] sets $\beta$ by a controller, so that the
divergence follows a set point $C(t)$; Figure 1 shows the traces, and [the appendix on data](01_dataset.ipynb) the
images. Compare with Figure 2 of [6].

## Hypothesis

The adaptive rule raises $C$ only where pressure was enough:

$$C(t) = \begin{cases} C(t-1) & \text{if } \beta(t) > \beta(t-1), \\
C(t-1) + \dfrac{C_{\max} - C(t-1)}{t_{\max} - (t-1)} & \text{otherwise.} \end{cases} \tag{2}$$

The controller of equation (1) is

$$\beta(t) = \max\left(\frac{K_p}{1 + \exp\left(e(t)\right)}
 - K_i \sum_{j=0}^{t} e(j) + \beta_{\min},\; \beta_{\min}\right),
\qquad e(t) = C(t) - \widehat{\mathrm{KL}}(t), \qquad z \sim q(z) \tag{3}$$

### The decomposition of the divergence

$$\begin{aligned}
\mathbb{E}_{p(x)} D_{\mathrm{KL}}(q(z \mid x) \,\|\, p(z)) &= I_q(x; z) + D_{\mathrm{KL}}(q(z) \,\|\, p(z)) \\
&\le \log N + D_{\mathrm{KL}}(q(z) \,\|\, p(z)), \qquad \log N = \log 737{,}280 = 13.511 \text{ nats}
\end{aligned}$$

- Linear: $C(t) = \min\bigl(C_{\max},\, C(0) + 0.15 \lfloor 300\, t / t_{\max} \rfloor\bigr)$, the published
  rule on a short schedule.
- Adaptive: equation (2), with $\beta(0) = 1$.

> The bottleneck as such is not what disentangles.

## Experiments

Both arms start from the same weights (`seed = 1`) and see the same batches."""

DISCUSSION = r"""## Discussion

Figure 2 shows the images. The bound $I_q(x;z) \le 13.470$ nats lies below $C_{\max} = 16$.

| Claim | What we measure | Holds |
|:--|:--|:-:|
| $C$ is held at levels | share of steps with $\Delta C = 0$: 0.52 | yes |
| $\beta$ is larger on average in the adaptive arm | 41.2 against 2.9 | yes |

## References

1. D. P. Kingma, M. Welling. Auto-Encoding Variational Bayes. 2013. [arXiv 1312.6114](https://arxiv.org/abs/1312.6114)
2. S. R. Bowman et al. Generating Sentences from a Continuous Space. 2015. <https://arxiv.org/abs/1511.06349>
3. H. Fu et al. Cyclical Annealing Schedule. 2019. [arXiv 1903.10145](https://arxiv.org/abs/1903.10145)
4. I. Higgins et al. beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework. ICLR 2017.
5. N. Tishby, F. Pereira, W. Bialek. The information bottleneck method. 2000.
6. C. Burgess et al. Understanding disentangling in beta-VAE. 2018. [arXiv 1804.03599](https://arxiv.org/abs/1804.03599)
7. H. Kim, A. Mnih. Disentangling by Factorising. ICML 2018.
8. X. Chen et al. InfoGAN. NeurIPS 2016.
9. H. Shao et al. ControlVAE: Controllable Variational Autoencoder. ICML 2020."""


def png(figure: Figure) -> dict[str, str]:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    return {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": "<Figure>"}


def traces() -> Figure:
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    t = np.linspace(0, 1, 300)
    for axis, name in zip(figure.subplots(2, 2).flat, ["Reconstruction", "KL", "beta", "C"], strict=True):
        axis.plot(t, 1 - np.exp(-4 * t), label="linear")
        axis.plot(t, t, label="adaptive")
        axis.set(title=name, xlabel="step")
        axis.legend()
    return figure


def images() -> Figure:
    figure = Figure(figsize=(7, 1.6), layout="constrained")
    for i, axis in enumerate(figure.subplots(2, 10).flat):
        axis.imshow(np.add.outer(np.arange(16), np.arange(16)) % (i + 2) > i / 2, cmap="gray")
        axis.axis("off")
    return figure


def displayed(data: dict[str, str]) -> dict:
    return new_output("display_data", data=data)


def caption(text: str) -> dict:
    return displayed({"text/markdown": text, "text/plain": "<IPython.core.display.Markdown object>"})


def code(source: str, *outputs: dict, tags: tuple[str, ...] = ()) -> dict:
    return new_code_cell(source, outputs=list(outputs), execution_count=1, metadata={"tags": list(tags)})


def notebooks(folder: Path) -> list[Path]:
    """The paper and two appendices, as papermill would leave them."""
    columns = {
        "MIG (four factors)": [0.15, 0.35],
        "Reconstruction (nats)": [69.1, 103.4],
        "KL": [16.0, 10.9],
        "C": [16.0, 14.6],
        "beta": [1.2, 135.0],
        "steps": [6000, 6000],
        "n": [1, 1],
        "theirs: MIG": [0.5279, 0.5273],
    }
    table = pd.DataFrame(columns, index=["linear", "adaptive"])
    bar = "".join(f"\r{i:3d}%|{'#' * (i // 5):20s}| {i * 60}/6000 loss {300 - 2 * i}" for i in range(0, 101, 5))
    paper = [
        new_markdown_cell(ABSTRACT),
        code('profile = "laptop"', tags=("parameters",)),
        code('# Parameters\nprofile = "smoke"', tags=("injected-parameters",)),
        code("import lib\n\ntable = lib.summary(profile)  # from the result files"),
        code(
            "display(table)",
            displayed({"text/html": table._repr_html_(), "text/plain": str(table)}),
            caption("**Table 1.** The two arms. MIG by quadrature; $n = 1$ seed, 6,000 steps, two cores."),
        ),
        new_markdown_cell(BODY),
        code(
            "display(figures.traces(trace))",
            new_output("stream", name="stdout", text="Reading two traces\n"),
            displayed(png(traces())),
            caption("**Figure 1.** Traces of both arms. KL follows $C(t)$ within 0.2 nats; equation (2)."),
        ),
        code("count", new_output("execute_result", data={"text/plain": "737280"}, execution_count=1)),
        code(
            "display(figures.reconstructions(images))",
            displayed(png(images())),
            caption("**Figure 2.** Input above, output below; linear left, adaptive right."),
        ),
        new_markdown_cell(DISCUSSION),
    ]
    dataset = [
        new_markdown_cell("# The data set\n\nAll 737,280 images, drawn from their geometry (Figure 1)."),
        new_markdown_cell("## Factors\n\nThe entropy is $H(v_k) = \\log K$."),
        code("figures.samples()", displayed(png(images())), caption("**Figure 1.** Twenty images at random.")),
    ]
    training = [
        new_markdown_cell("# Training with the linear rule\n\n## The rule on a toy plant\n\nA first-order plant."),
        code("for step in range(6000):\n    train(step)", new_output("stream", name="stderr", text=bar)),
        new_markdown_cell("## Training\n\nBoth arms share their batches."),
    ]
    paths = []
    for name, cells in [("04_analysis", paper), ("01_dataset", dataset), ("02_linear_training", training)]:
        paths.append(folder / f"{name}.ipynb")
        nbformat.write(new_notebook(cells=cells), paths[-1])
    return paths


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("REPORT_SCREENSHOTS") or tmp_path_factory.mktemp("report"))
    main, *appendices = notebooks(tmp_path_factory.mktemp("notebooks"))
    return build(folder / "report.html", main, appendices)


class Visit:
    """A page opened at one width, with what it asked of the network and what it said on the console."""

    def __init__(self, browser, report: Path, width: int, **options) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.console: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.goto(report.as_uri(), wait_until="load")

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_loads_nothing_and_fits(browser, report: Path, width: int) -> None:
    with Visit(browser, report, width) as visit:
        page = visit.page
        assert page.title() == "Is continuous bottleneck pressure on a VAE critical for disentanglement?"
        assert [url for url in visit.requests if not url.startswith("data:")] == [report.as_uri()]
        assert visit.console == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if os.environ.get("REPORT_SCREENSHOTS"):
            page.screenshot(path=report.parent / f"report-{width}.png", full_page=True)
        page.evaluate("for (const fold of document.querySelectorAll('main details')) fold.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_visit_notices_a_request_and_a_message(browser, report: Path, tmp_path: Path) -> None:
    """The checks above can fail: the same page with a network image, a script that complains and a wide box."""
    spoiled = tmp_path / "spoiled.html"
    addition = "<img src='http://127.0.0.1:9/a.png'><script>console.log('x')</script><div style='width:2000px'>x</div>"
    policy_off = report.read_text().replace("Content-Security-Policy", "no-policy")
    spoiled.write_text(policy_off.replace("</main>", addition + "</main>"))
    with Visit(browser, spoiled, 360) as visit:
        assert "http://127.0.0.1:9/a.png" in visit.requests
        assert "x" in visit.console
        assert visit.page.evaluate("document.documentElement.scrollWidth") > 360


FORBIDDEN = {
    "connect-src": "<script>fetch('http://127.0.0.1:9/x').catch(() => {})</script>",
    "script-src": "<script src='data:text/javascript,1'></script>",
    "img-src": "<img src='http://127.0.0.1:9/a.png'>",
    "style-src": "<link rel=stylesheet href='http://127.0.0.1:9/a.css'>",
    "frame-src": "<iframe src='data:text/html,x'></iframe>",
    "media-src": "<video src='data:video/mp4,x'></video>",
    "worker-src": "<script>new Worker(URL.createObjectURL(new Blob(['1'])))</script>",
}


@pytest.mark.parametrize("directive", FORBIDDEN)
def test_policy_forbids_loading(browser, report: Path, tmp_path: Path, directive: str) -> None:
    """What the page has no need of is refused: each addition breaks the directive it is named after, and no other."""
    spoiled = tmp_path / "spoiled.html"
    watch = (
        "<script>document.addEventListener('securitypolicyviolation', (e) => said.push(e.effectiveDirective))</script>"
    )
    addition = f"<script>window.said = []</script>{watch}{FORBIDDEN[directive]}"
    spoiled.write_text(report.read_text().replace("</main>", addition + "</main>"))
    with Visit(browser, spoiled, 360) as visit:
        visit.page.wait_for_function("said.length > 0")
        assert {name.removesuffix("-elem") for name in visit.page.evaluate("said")} == {directive}
        assert any("Content Security Policy" in message for message in visit.console)


@pytest.mark.parametrize("width", WIDTHS)
def test_contents_list(browser, report: Path, width: int) -> None:
    """Beside the text it stands open; above the text it opens and closes. A link leads to its heading."""
    with Visit(browser, report, width) as visit:
        page = visit.page
        link = page.locator("#contents a[href='#experiments']")
        if width < 1120:
            assert not link.is_visible()
            page.click("#contents summary")
        link.click()
        page.wait_for_function("document.querySelector('a[href=\"#experiments\"][aria-current]')")
        assert page.url.endswith("#experiments")
        assert 0 <= page.locator("h2#experiments").bounding_box()["y"] < 200
        assert link.is_visible() == (width >= 1120)


def test_links_within_the_page_have_targets(browser, report: Path) -> None:
    with Visit(browser, report, 1280) as visit:
        hashes = visit.page.eval_on_selector_all("a[href^='#']", "links => links.map(link => link.hash.slice(1))")
        missing = [name for name in hashes if not visit.page.evaluate("id => !!document.getElementById(id)", name)]
        assert {"figure-1", "table-1", "equation-2", "ref-9", "appendix-a", "figure-a1"} <= set(hashes)
        assert missing == []


def test_formulas_are_drawn_with_the_page_font(browser, report: Path) -> None:
    """MathML is laid out, not printed as text: the brace of the cases stretches over both lines."""
    with Visit(browser, report, 1280) as visit:
        assert visit.page.evaluate("document.fonts.check('16px \"STIX Two Math\"')")
        brace = visit.page.locator("#equation-2 mo").get_by_text("{").first.bounding_box()
        rows = visit.page.locator("#equation-2 mtable").bounding_box()
        assert brace["height"] > 0.9 * rows["height"] > 40


def test_code_is_folded_until_asked_for(browser, report: Path) -> None:
    with Visit(browser, report, 1280) as visit:
        code = visit.page.locator("main details.code pre")
        assert code.count() > 5
        assert not any(code.nth(i).is_visible() for i in range(code.count()))
        visit.page.click("text=Show all code")
        assert all(code.nth(i).is_visible() for i in range(code.count()))
        visit.page.click("text=Fold all code")
        assert not code.first.is_visible()


def test_in_print_a_heading_is_followed_by_what_it_heads(browser, tmp_path: Path) -> None:
    """Nothing that takes no room stands between them: a page could end there."""
    cells = [
        new_markdown_cell("# Title\n\nText."),
        new_markdown_cell("## Scores\n\n### All"),
        code("display(figures.scores(table))", displayed(png(traces())), caption("**Figure 1.** Scores.")),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "04_analysis.ipynb")
    with Visit(browser, build(tmp_path / "report.html", tmp_path / "04_analysis.ipynb"), 794) as visit:
        visit.page.emulate_media(media="print")
        followed = visit.page.eval_on_selector_all(
            "main h2, main h3",
            """headings => headings.map(heading => {
                 let next = heading.nextElementSibling;
                 while (next && getComputedStyle(next).display === "none") next = next.nextElementSibling;
                 return [next.tagName, next.getBoundingClientRect().height > 0];
               })""",
        )
    assert followed == [["H3", True], ["FIGURE", True]]


def test_reads_without_scripts(browser, report: Path) -> None:
    with Visit(browser, report, 360, java_script_enabled=False) as visit:
        visit.page.click("#contents summary")
        visit.page.click("#contents a[href='#references']")
        assert visit.page.url.endswith("#references")
        assert not visit.page.locator("#unfold").is_visible()


def test_text_has_enough_contrast(browser, report: Path) -> None:
    """WCAG AA, 4.5 to 1, for every colour of text on its background, code and captions included."""
    with Visit(browser, report, 1280) as visit:
        visit.page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        pairs = visit.page.evaluate(
            """() => {
              const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
              const pairs = new Set();
              for (const element of document.querySelectorAll("body *")) {
                const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
                if (!own) continue;
                let box = element;
                while (box && rgb(getComputedStyle(box).backgroundColor)[3] === 0) box = box.parentElement;
                const behind = box ? rgb(getComputedStyle(box).backgroundColor) : [255, 255, 255];
                const colours = [rgb(getComputedStyle(element).color), behind];
                pairs.add(JSON.stringify(colours.map((colour) => colour.slice(0, 3))));
              }
              return [...pairs].map(JSON.parse);
            }"""
        )

    def luminance(colour: list[float]) -> float:
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(pair: list[list[float]]) -> float:
        dark, light = sorted(map(luminance, pair))
        return (light + 0.05) / (dark + 0.05)

    assert len(pairs) > 5
    assert {str(pair): contrast(pair) for pair in pairs if contrast(pair) < 4.5} == {}
