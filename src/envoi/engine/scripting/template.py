"""Texts with `<%= expression %>` and `<% code %>`, turned into a script that gives the finished text."""

import json
import re

from envoi.kernel.errors import Invalid

_TAG = re.compile(r"<%(--|[=@]?)(.*?)(--)?%>", re.DOTALL)


def has_code(text: str) -> bool:
    """Return whether a text has anything to run."""
    return "<%" in text


def script_of(text: str) -> str:
    """Return the script whose result is the text, with every line of code on the line it has in the text.

    `<%-- … --%>` is a comment. An empty place (null, undefined) gives no text. Raises Invalid for a tag that
    is not closed, or a directive `<%@ … %>`.
    """
    parts = ['(function(){const $o=[],$t=v=>v===null||v===undefined?"":String(v);']
    position = 0
    for tag in _TAG.finditer(text):
        parts.append(_literal(text[position : tag.start()]))
        kind, code = tag[1], tag[2]
        line = text.count("\n", 0, tag.start()) + 1
        if kind == "@":
            raise Invalid(f"Line {line}: the directive <%@{code}%> is not known. Use <%= … %> or <% … %>.")
        if kind == "--":
            parts.append("\n" * code.count("\n"))
        elif kind == "=":
            parts.append(f"$o.push($t((0,{code}\n)));" if "//" in code else f"$o.push($t(({code})));")
        else:
            parts.append(f"{code};")
        position = tag.end()
    rest = text[position:]
    if "<%" in rest:
        line = text.count("\n", 0, position + rest.index("<%")) + 1
        raise Invalid(f"Line {line}: a <% is not closed. Close it with %>.")
    parts += [_literal(rest), 'return $o.join("")})()']
    return "".join(parts)


def _literal(text: str) -> str:
    return f"$o.push({json.dumps(text)});" + "\n" * text.count("\n") if text else ""
