"""TeX formulas to MathML Core, which browsers draw without any script; math-core does it, for a font with all signs."""

from math_core import LatexError, LatexToMathML

_CONVERTER = LatexToMathML(xml_namespace=True, fancy_error=False)


def to_mathml(tex: str, *, display: bool = False) -> str:
    """The ``<math>`` element of a TeX formula, on a line of its own if ``display``.

    Raises ValueError, quoting the formula, where it is no TeX or uses what math-core does not know.
    """
    try:
        return _CONVERTER.convert_with_local_state(tex, displaystyle=display)
    except LatexError as error:
        raise ValueError(f"The formula {tex!r} cannot be set: {error}.") from error
