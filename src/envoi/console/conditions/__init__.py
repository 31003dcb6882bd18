"""Conditions as people build them: rows in an editor, a sentence, and the text that is stored.

`read` and `write` are the text of a form's field; a template shows the editor of one with
`{% include "console/conditions/editor.html" %}` and `conditions` = `{"schema": …, "name": …, "value": …}`.
"""

from envoi.console.conditions.sentences import sentence
from envoi.console.conditions.text import read, write

__all__ = ["read", "sentence", "write"]
