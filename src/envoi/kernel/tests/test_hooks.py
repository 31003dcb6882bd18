from typing import Any

from envoi.kernel.hooks import Hook


def answer_of(module: str, text: str) -> Any:
    def function(number: int) -> str:
        return f"{text} {number}"

    function.__module__, function.__qualname__ = module, f"answer_{text}"
    return function


def test_answers_come_platform_first_then_by_package() -> None:
    hook: Hook[[int], str] = Hook("example")
    for module, text in (
        ("envoi.packages.mrm.hooks", "mrm"),
        ("outside.hooks", "outside"),
        ("envoi.packages.campaign.hooks", "campaign"),
        ("envoi.engine.shipping", "engine"),
    ):
        hook.answer(answer_of(module, text))
    assert hook.ask(7) == ["engine 7", "campaign 7", "mrm 7", "outside 7"]


def test_the_same_function_answers_once() -> None:
    hook: Hook[[int], str] = Hook("example")
    for _ in range(2):
        hook.answer(answer_of("envoi.engine.shipping", "engine"))
    assert hook.ask(1) == ["engine 1"]


def test_a_temporary_answer_goes_away_whatever_happens() -> None:
    hook: Hook[[int], str] = Hook("example")
    try:
        with hook.temporarily(lambda number: f"now {number}"):
            assert hook.ask(1) == ["now 1"]
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert hook.ask(1) == []
