"""Rule: from another package only `api` and `hookspecs` are imported, and only if it is required."""

import ast
import re
import tomllib

import pytest

PACKAGE = re.compile(r"envoi\.packages\.(\w+)(?:\.(\w+))?")
FACES = ("api", "hookspecs")


def imports(module):
    """Yield (line, dotted name) of every import, `from a import b` as a.b."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def meetings(module):
    """Yield (line, own package, other package, its room) of every import across packages."""
    own = PACKAGE.match(module.path.removeprefix("src/").replace("/", "."))
    if own:
        for line, name in imports(module):
            other = PACKAGE.match(name)
            if other and other[1] != own[1]:
                yield line, own[1], other[1], other[2]


def broken(module, requires):
    faces = (*FACES, "testing") if module.is_test else FACES
    for line, own, other, room in meetings(module):
        if room not in faces:
            yield f"{module.path}:{line} reaches past the face of {other}: {' or '.join(faces)}"
        if other not in requires.get(own, ()) and not module.is_test:
            yield f"{module.path}:{line} uses {other}, which {own} does not require"


def required(modules):
    """Return package -> what its package.py says that it requires."""
    found = {}
    for module in modules:
        place = re.fullmatch(r"src/envoi/packages/(\w+)/package\.py", module.path)
        for node in ast.walk(module.tree) if place else ():
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(ast.unparse(target) == "requires" for target in targets):
                    found[place[1]] = ast.literal_eval(node.value)
    return found


@pytest.mark.parametrize(
    ("line", "offences"),
    [
        ("from envoi.packages.delivery.api import send", 0),
        ("from envoi.packages.delivery import api", 0),
        ("from envoi.packages.delivery.services import send", 1),
        ("import envoi.packages.delivery", 1),
        ("from envoi.packages.campaign.services import launch", 0),
        ("from envoi.packages.social.api import post", 1),
        ("from envoi.packages.delivery.testing import make_delivery", 1),
    ],
)
def test_a_reach_past_a_face_is_found(snippet, line, offences):
    module = snippet(line, "src/envoi/packages/campaign/services/launch.py")
    assert len(list(broken(module, {"campaign": ("delivery",)}))) == offences


def test_requirements_are_read(snippet):
    text = "class Campaign(Package):\n    requires: ClassVar[tuple[str, ...]] = ('delivery',)\n"
    assert required([snippet(text, "src/envoi/packages/campaign/package.py")]) == {"campaign": ("delivery",)}


def test_packages_meet_at_their_faces(product, suite):
    requires = required(product)
    assert [offence for module in (*product, *suite) for offence in broken(module, requires)] == []


def test_every_package_is_declared_as_an_entry_point(product, pytestconfig):
    declared = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())["project"][
        "entry-points"
    ]
    folders = {m.path.split("/")[3] for m in product if m.path.count("/") > 3 and "/packages/" in m.path}
    assert set(declared["envoi.packages"]) == folders
