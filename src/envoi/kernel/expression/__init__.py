"""The product's expression language: text to tree, tree to text, tree to parameterized SQL."""

from envoi.kernel.expression.functions import FUNCTIONS, Function
from envoi.kernel.expression.kinds import Fragment, Kind
from envoi.kernel.expression.nodes import (
    Arithmetic,
    Between,
    Call,
    Compare,
    ExpressionError,
    InList,
    IsNull,
    Like,
    Literal,
    Logic,
    Negate,
    Node,
    Not,
    Path,
    Variable,
    walk,
)
from envoi.kernel.expression.parser import parse
from envoi.kernel.expression.sql import Context, boolean, compile_node

__all__ = [
    "FUNCTIONS",
    "Arithmetic",
    "Between",
    "Call",
    "Compare",
    "Context",
    "ExpressionError",
    "Fragment",
    "Function",
    "InList",
    "IsNull",
    "Kind",
    "Like",
    "Literal",
    "Logic",
    "Negate",
    "Node",
    "Not",
    "Path",
    "Variable",
    "boolean",
    "compile_node",
    "parse",
    "walk",
]
