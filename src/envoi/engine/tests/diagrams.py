"""Activities of the tests, in short."""

from envoi.engine.definition import Activity, Transition

DAILY_0400 = {"frequency": "daily", "at": "04:00"}
EVERY_MINUTE = {"frequency": "several", "every_seconds": 60}
EVERY_HOUR = {"frequency": "several", "every_seconds": 3600}


def way(name, target="", kind="transition", **more):
    return Transition(name, target, kind=kind, **more)


def start(name="start", to=None):
    return Activity("start", name, transitions=(way("transition", to),) if to else ())


def end(name="end", **parameters):
    return Activity("end", name, parameters=parameters)


def scheduler(schedule=DAILY_0400, name="schedule", **settings):
    return Activity("schedule", name, parameters={"schedule": schedule}, **settings)


def call(name="work", function="nothing", **settings):
    return Activity("call", name, parameters={"function": f"envoi.engine.testing:{function}"}, **settings)


def js(name, script, **settings):
    return Activity("js", name, parameters={"script": script, **settings.pop("parameters", {})}, **settings)
