"""Math without JavaScript: TeX is turned into MathML while the site is built.

Browsers draw MathML themselves, screen readers read it, and no page has to fetch a math library. The converter
passes over what it does not know in silence, so its output is searched for leftovers, and each is a warning: under
``-W`` an unreadable formula fails the build.
"""

from __future__ import annotations

import re
from html import escape

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# What the converter does not know, said in words that it knows.
SPELLINGS = (
    (re.compile(r"\\(begin|end)\{(?:aligned|align|split|gathered|gather)\}"), r"\\\1{align*}"),
    (re.compile(r"\\(?:mathrm|textrm|operatorname)\*?\{([A-Za-z][A-Za-z0-9 \-/]*)\}"), r"\\text{\1}"),
    (re.compile(r"\\arg(?![A-Za-z])"), r"\\text{arg}\\,"),
)
LEFTOVER = re.compile(r">\s*(\\[A-Za-z]+|&)\s*<")

# MathML Core knows mathvariant="normal" only: the other alphabets are characters of their own.
ALPHABETS = {"bold": (0x1D400, 0x1D41A, 0x1D7CE), "bold-italic": (0x1D468, 0x1D482, None)}
GREEK = {"bold": (0x1D6A8, 0x1D6C2), "bold-italic": (0x1D71C, 0x1D736)}


# A function name stands apart from its argument, unless that is in brackets.
NAME = r"<m[io]>(?:arg|cos|det|exp|inf|lim|ln|log|max|min|sin|sup|tan)</m[io]>"
FUNCTION = re.compile(
    rf"((?<!<msub>){NAME}|<msub>{NAME}(?:(?!</msub>).)*</msub>)(?=<m(?:i|n|over|frac|row|sub|sup|text)\b)"
)
# Signs that the converter takes for identifiers, which would close up on their neighbours: ± ∓ · × ∼ ∝ ∪ ∩ ∖ ∘
OPERATOR = re.compile(r"<mi>(&#x0*(?:B1|2213|B7|22C5|D7|223C|221D|222A|2229|2216|2218);)</mi>", re.I)


def _in_alphabet(variant: str, character: str) -> str:
    upper, lower, digit = ALPHABETS[variant]
    greek_upper, greek_lower = GREEK[variant]
    for first, last, start in (
        ("A", "Z", upper),
        ("a", "z", lower),
        ("0", "9", digit),
        ("Α", "Ω", greek_upper),
        ("α", "ω", greek_lower),
    ):
        if start is not None and first <= character <= last:
            return chr(start + ord(character) - ord(first))
    return character


def _spell_out_variants(markup: str) -> str:
    def spell(match: re.Match[str]) -> str:
        tag, variant, body = match.groups()
        text = re.sub(r"&#x([0-9A-Fa-f]+);", lambda m: chr(int(m[1], 16)), body)
        return f"<{tag}>{''.join(_in_alphabet(variant, c) for c in text)}</{tag}>"

    return re.sub(r'<(m[ion]) mathvariant="(bold|bold-italic)">([^<]*)</\1>', spell, markup)


def to_mathml(tex: str, display: str = "inline") -> str:
    r"""Return TeX math as a MathML element that carries its source in ``alttext``.

    Raises
    ------
    ValueError
        If a command is left that the converter does not know.

    Examples
    --------
    >>> to_mathml(r"\mathrm{TP}_c")
    '<math alttext="\\mathrm{TP}_c" display="inline"><mrow><msub><mtext>TP</mtext><mi>c</mi></msub></mrow></math>'
    """
    source = tex.strip()
    for pattern, replacement in SPELLINGS:
        source = pattern.sub(replacement, source)
    markup = convert(source, display=display)
    leftover = LEFTOVER.search(markup)
    if leftover:
        raise ValueError(f"the math converter does not know {leftover[1]!r}")
    markup = OPERATOR.sub(r"<mo>\1</mo>", markup)
    markup = FUNCTION.sub(r'\1<mspace width="0.167em" />', markup)
    body = markup[markup.index(">") + 1 :]
    return f'<math alttext="{escape(tex.strip())}" display="{display}">{_spell_out_variants(body)}'


def _render(translator, node: nodes.Element, display: str) -> str:
    try:
        return to_mathml(node.astext(), display)
    except Exception as error:  # the converter raises a family of its own, and plain IndexError
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return f"<code>{translator.encode(node.astext())}</code>"


def visit_math(translator, node: nodes.math) -> None:
    translator.body.append(translator.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    translator.body.append(_render(translator, node, "inline") + "</span>")
    raise nodes.SkipNode


def visit_math_block(translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    translator.body.append(f'<div class="formula">{_render(translator, node, "block")}</div>')
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
