"""JavaScript of workflows, run apart from everything it must not reach (engine.md §5.8,
docs/adr/0007-scripts.md).

    result = run_script(source, host=host, variables=Variables(vars={"recCount": 10}))
    enough = holds("vars.recCount > 0", host=host, variables=variables)
    label = render("Export of <%= formatDate(new Date(), '%4Y-%2M-%2D') %>", host=host, variables=variables)

What a script asks for is answered by the caller's `Host`, with the caller's rights and in the caller's
transaction.
"""

from envoi.engine.scripting.host import Closed, Host, Level
from envoi.engine.scripting.run import (
    EXPRESSION_LIMITS,
    Kind,
    Limits,
    OnCancel,
    ScriptCancelled,
    ScriptFailed,
    ScriptResult,
    ScriptStopped,
    Variables,
    evaluate,
    holds,
    render,
    run_script,
)
from envoi.engine.scripting.server import stop
from envoi.engine.scripting.values import Scalar, Value

__all__ = [
    "EXPRESSION_LIMITS",
    "Closed",
    "Host",
    "Kind",
    "Level",
    "Limits",
    "OnCancel",
    "Scalar",
    "ScriptCancelled",
    "ScriptFailed",
    "ScriptResult",
    "ScriptStopped",
    "Value",
    "Variables",
    "evaluate",
    "holds",
    "render",
    "run_script",
    "stop",
]
