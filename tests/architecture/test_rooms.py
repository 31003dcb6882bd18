"""Rule: a package has the rooms of the plan and no other, so that nobody has to look for anything."""

ROOMS = {
    "__init__.py", "package.py", "api.py", "hooks.py", "hookspecs.py", "testing.py",
    "models", "services", "workflows", "activities", "channels", "endpoints", "console", "data", "migrations",
    "locale", "tests", "__pycache__",
}  # fmt: skip
# Names under which things end up that nobody wanted to place.
NOWHERE = ("utils", "util", "helpers", "helper", "common", "misc", "manager", "managers")


def unknown_rooms(packages):
    return [
        f"{package.name}/{room.name}"
        for package in sorted(packages.iterdir())
        if package.is_dir() and package.name != "__pycache__"
        for room in sorted(package.iterdir())
        if room.name not in ROOMS
    ]


def nowhere(paths):
    return [path for path in paths if any(part.removesuffix(".py") in NOWHERE for part in path.split("/"))]


def test_an_unknown_room_is_found(tmp_path):
    for room in ("services", "shared", "lib.py"):
        (tmp_path / "campaign" / room).mkdir(parents=True)
    assert unknown_rooms(tmp_path) == ["campaign/lib.py", "campaign/shared"]
    assert nowhere(["kernel/utils.py", "engine/helpers/a.py", "kernel/utilities.py"]) == [
        "kernel/utils.py",
        "engine/helpers/a.py",
    ]


def test_packages_have_known_rooms(pytestconfig):
    assert unknown_rooms(pytestconfig.rootpath / "src/envoi/packages") == []


def test_no_file_is_named_after_nothing(product, suite):
    assert nowhere([module.path for module in (*product, *suite)]) == []
