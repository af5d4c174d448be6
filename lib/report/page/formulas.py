"""TeX formulas to MathML that browsers draw without any script or font.

latex2mathml does the parsing. Browsers implement MathML Core, a subset of the MathML it writes: they ignore
named spaces and every ``mathvariant`` but ``normal``, and they give any word marked as an operator wide
margins. What is mended here is what was seen to go wrong; what latex2mathml does not know is refused instead
of printed raw.
"""

import re
import xml.etree.ElementTree as ET

from latex2mathml.converter import convert

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ET.register_namespace("", _NAMESPACE)

_ALIGNED = re.compile(r"\\(begin|end)\{aligned\}")
_ENVIRONMENTS = {"align*", "cases"}
_FUNCTIONS = {"log", "exp", "sin", "cos", "tanh"}
_LIMITS = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_LARGE = set("∑∏")
_LIMIT_FUNCTIONS = {"max", "min"}
_SIGNS = set("±∓~⟺⟂;:⌊⌋⌈⌉")  # taken for letters
_NAMED_SPACES = {"negativethinmathspace": "-0.167em"}
# Unicode's alphabets of mathematical capitals by their first letter, and those that it had put elsewhere before.
_ALPHABETS = {
    "double-struck": ("𝔸", dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))),
    "script": ("𝒜", dict(zip("BEFHILMR", "ℬℰℱℋℐℒℳℛ", strict=True))),
}


def to_mathml(tex: str, *, display: bool = False) -> str:
    """The ``<math>`` element of a TeX formula, on a line of its own if ``display``.

    Raises ValueError, quoting the formula, where braces do not match or a command or an environment is not
    known.
    """
    source = _ALIGNED.sub(r"\\\1{align*}", tex).strip()
    _check_source(source, tex)
    try:
        root = ET.fromstring(convert(source, display="block" if display else "inline"))
    except Exception as error:  # latex2mathml has a dozen unrelated exceptions
        raise ValueError(f"The formula {tex!r} cannot be set: {type(error).__name__} {error}.") from error
    for element in root.iter():
        _mend(element, tex)
    for element in list(root.iter()):
        _place_limits(element, display)
        _space_functions(element)
    return ET.tostring(root, encoding="unicode", short_empty_elements=False)


def _check_source(source: str, tex: str) -> None:
    bare = re.sub(r"\\[\\{}]", "", source)
    if bare.count("{") != bare.count("}"):
        raise ValueError(f"The braces of the formula {tex!r} do not match.")
    unknown = set(re.findall(r"\\begin\{(.+?)\}", source)) - _ENVIRONMENTS
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ValueError(f"The formula {tex!r} uses {names}; use aligned or cases.")


def _tag(element: ET.Element) -> str:
    return element.tag.removeprefix(f"{{{_NAMESPACE}}}")


def _mend(element: ET.Element, tex: str) -> None:
    tag, text = _tag(element), element.text or ""
    if tag in ("mi", "mo", "mn") and ("\\" in text or text == "&"):
        raise ValueError(f"The formula {tex!r} uses {text}, which cannot be set; write it in plainer TeX.")
    if tag == "mspace" and element.get("width") in _NAMED_SPACES:
        element.set("width", _NAMED_SPACES[element.get("width")])
    if tag == "mo" and len(text) > 1 and text.isalpha():
        element.tag = f"{{{_NAMESPACE}}}mi"
        element.set("class", "function")
    if tag == "mi" and text in _FUNCTIONS:
        element.set("class", "function")
    if tag == "mi" and text in _SIGNS:
        element.tag, element.text = f"{{{_NAMESPACE}}}mo", text.replace("~", "∼")
        element.set("stretchy", "false")
    if tag == "mo" and text == "∞":
        element.tag = f"{{{_NAMESPACE}}}mi"
    variant = element.get("mathvariant", "normal")
    if variant in _ALPHABETS and text.isupper():
        first, elsewhere = _ALPHABETS[variant]
        del element.attrib["mathvariant"]
        element.text = "".join(elsewhere.get(letter, chr(ord(first) + ord(letter) - ord("A"))) for letter in text)
    elif variant != "normal":
        raise ValueError(f"The formula {tex!r} uses letters of a kind that cannot be set; use \\mathrm, or capitals.")
    children = list(element)
    if tag == "mrow" and len(children) == 1 and _tag(children[0]) == "mo":
        children[0].attrib.update(lspace="0", rspace="0")  # 737{,}280: braces make a sign an ordinary letter
    if len(children) > 1 and all(_tag(c) == "mi" and c.get("mathvariant") == "normal" for c in children):
        # \mathrm{KL}: one name, not a product of K and L. An <mi> of several letters is upright by itself.
        children[0].text = "".join(c.text or "" for c in children)
        del children[0].attrib["mathvariant"]
        element[:] = children[:1]


def _place_limits(element: ET.Element, display: bool) -> None:
    """Limits below and above: of max if displayed, of sums always (browsers put them beside in running text)."""
    if _tag(element) in _LIMITS:
        base = element[0].text or ""
        if base in _LARGE or (display and base in _LIMIT_FUNCTIONS):
            element.tag = f"{{{_NAMESPACE}}}{_LIMITS[_tag(element)]}"


def _space_functions(parent: ET.Element) -> None:
    """Thin spaces beside the name of a function, as TeX sets them: log p, but log(p)."""
    if _tag(parent) not in ("math", "mrow", "mtd", "mstyle"):
        return
    row: list[ET.Element] = []
    for child in parent:
        if row and (_is_function(row[-1]) or _is_function(child)):
            left, right = _tag(row[-1]), _tag(child)
            bracket = right == "mrow" and len(child) and child[0].get("fence") == "true"
            after_function = _is_function(row[-1]) and right not in ("mo", "mspace") and not bracket
            before_function = _is_function(child) and left not in ("mo", "mspace")
            if after_function or before_function:
                row.append(ET.Element(f"{{{_NAMESPACE}}}mspace", width="0.167em"))
        row.append(child)
    parent[:] = row


def _is_function(element: ET.Element) -> bool:
    if _tag(element) in ("msub", "msup", "msubsup", "munder"):
        element = element[0]
    return element.get("class") == "function"
