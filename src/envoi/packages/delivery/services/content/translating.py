"""The product's personalization marks as templates of ours (delivery.md §2.9), and ours made safe in HTML.

    <%= recipient.firstName %>              {{ recipient.firstName }}
    <%= escapeUrl(recipient.lastName) %>    {{ recipient.lastName|urlencode }}
    <%@ include view='Greetings' %>         {% include "Greetings" %}
    <% if (recipient.age > 18) { %>         {% if recipient.age > 18 %}
    <% } else if (…) { %>, <% } else { %>   {% elif … %}, {% else %}
    <% } %>                                 {% endif %}

What is more than that (loops, statements, functions of one's own) stays as it is and is told.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape

_MARK = re.compile(
    r"<%(?!--)(?P<kind>[=@]?)(?P<body>(?:(?!<%).)*?)%>"
    r"|&lt;%(?!--)(?P<kind2>[=@]?)(?P<body2>(?:(?!&lt;%).)*?)%&gt;",
    re.S,
)
_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_FUNCTIONS: Mapping[str, str] = {
    "escapeUrl": "urlencode",
    "encodeURIComponent": "urlencode",
    "escapeXmlStr": "escape",
    "toSmartCase": "smartcase",
    "formatDate": "date",
    "toUpperCase": "upper",
    "toLowerCase": "lower",
    "trim": "trim",
}
_CALL = re.compile(rf"(\w+)\s*\(\s*({_PATH})\s*(?:,\s*(?:\"[^\"]*\"|'[^']*')\s*)?\)")
_METHOD = re.compile(rf"({_PATH})\.(toUpperCase|toLowerCase|trim)\(\s*\)")
_IF = re.compile(r"(\})?\s*(else)?\s*if\s*\((.*)\)\s*\{", re.S)
_TOKEN = re.compile(
    rf"\s*(?:(?P<op>&&|\|\||===?|!==?|<=|>=|<|>|!|\(|\)|\+|-|\*)|(?P<path>{_PATH})"
    r"|(?P<value>\d+(?:\.\d+)?|\"[^\"\\]*\"|'[^'\\]*'))"
)
_OPERATORS: Mapping[str, str] = {
    "&&": "and", "||": "or", "===": "==", "!==": "!=", "!": "not",
}  # fmt: skip
_NAMES: Mapping[str, str] = {"null": "none", "undefined": "none", "true": "true", "false": "false"}
_INCLUDE = re.compile(r"\s*include\s+view\s*=\s*(['\"])([\w. -]+)\1\s*/?", re.S)
_VALUE = re.compile(r"\s*value\s+object\s*=\s*(['\"])(\w+)\1\s+xpath\s*=\s*(['\"])@?([\w/@-]+)\3\s*/?", re.S)


@dataclass(frozen=True)
class Mark:
    """One mark of the product: where it stood, what it was, what it is now; "" for one that stays."""

    line: int
    source: str
    made: str = ""


@dataclass(frozen=True)
class Translated:
    """What has become of a source: marks that are ours now, and `left`, those that stay as they were."""

    source: str
    made: tuple[Mark, ...] = ()
    left: tuple[Mark, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """The marks that stay."""
        return tuple(each.source for each in self.left)


def translated(source: str, *, html: bool) -> Translated:
    """Return a source with the product's marks as ours. Safe to repeat."""
    done: list[Mark] = []
    left: list[Mark] = []
    seen = [1, 0]  # line and place of the mark before
    blocks: list[bool] = []  # open braces, and whether their mark was translated

    def one(found: re.Match[str]) -> str:
        raw = found["body"] is not None
        kind, body = (found["kind"], found["body"]) if raw else (found["kind2"], found["body2"])
        made = _mark(kind, unescape(body) if html or not raw else body, blocks)
        seen[:] = seen[0] + source.count("\n", seen[1], found.start()), found.start()
        (done if made else left).append(Mark(seen[0], found[0], made))
        return made or found[0]

    return Translated(_MARK.sub(one, source), tuple(done), tuple(left))


def _mark(kind: str, body: str, blocks: list[bool]) -> str:
    """Return what a mark becomes; "" when it stays."""
    text = body.strip()
    if kind == "=":
        shown = _shown(text.rstrip(";").strip())
        return f"{{{{ {shown} }}}}" if shown else ""
    if kind == "@":
        if include := _INCLUDE.fullmatch(body):
            return f'{{% include "{include[2]}" %}}'
        if value := _VALUE.fullmatch(body):
            return f"{{{{ {value[2]}.{value[4].replace('/@', '.').replace('/', '.')} }}}}"
        return ""
    inside = blocks.pop() if text.startswith("}") and blocks else False
    made = ""
    condition = _IF.fullmatch(text)
    if condition is not None:
        said, otherwise = _condition(condition[3]), bool(condition[2])
        if said is not None and bool(condition[1]) == otherwise == inside:
            made = f"{{% {'elif' if otherwise else 'if'} {said} %}}"
    elif inside and re.fullmatch(r"\}\s*else\s*\{", text):
        made = "{% else %}"
    elif inside and text == "}":
        made = "{% endif %}"
    if text.endswith("{"):
        blocks.append(bool(made))
    return made


def _shown(expression: str) -> str:
    if re.fullmatch(_PATH, expression):
        return expression
    if (call := _CALL.fullmatch(expression)) and call[1] in _FUNCTIONS:
        return f"{call[2]}|{_FUNCTIONS[call[1]]}"
    if method := _METHOD.fullmatch(expression):
        return f"{method[1]}|{_FUNCTIONS[method[2]]}"
    return ""


def _condition(text: str) -> str | None:
    """Return a condition in our words; None when it is more than comparisons."""
    pieces: list[str] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            return None
        place = found.end()
        if found["path"] and text[place:].lstrip().startswith("("):
            return None
        if found["op"]:
            pieces.append(_OPERATORS.get(found["op"], found["op"]))
        else:
            pieces.append(found["value"] or _NAMES.get(found["path"], found["path"]))
    return " ".join(pieces).replace("( ", "(").replace(" )", ")") or None
