"""Query definitions over schemas: read, compiled to one statement, run with an actor's rights."""

from envoi.kernel.query.compiler import Column, Compiled, compile, compile_insert_select, select_all
from envoi.kernel.query.definition import Condition, Field, Operation, QueryDef
from envoi.kernel.query.reading import from_json, to_json
from envoi.kernel.query.running import Result, count, estimate, exists, explain, run
from envoi.kernel.query.xml import from_xml, to_xml, xml_text

__all__ = [
    "Column",
    "Compiled",
    "Condition",
    "Field",
    "Operation",
    "QueryDef",
    "Result",
    "compile",
    "compile_insert_select",
    "count",
    "estimate",
    "exists",
    "explain",
    "from_json",
    "from_xml",
    "run",
    "select_all",
    "to_json",
    "to_xml",
    "xml_text",
]
