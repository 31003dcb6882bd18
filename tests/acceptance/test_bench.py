"""`envoi bench`: the frame measures truly and leaves nothing."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {"ENVOI_BENCH_FOLDER": str(ROOT / "tests/data/bench")}


@pytest.fixture(scope="module")
def frame():
    spec = importlib.util.spec_from_file_location("bench.frame", ROOT / "bench/frame.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def side(name, figures, order):
    """A side that gives these figures in turn and notes its turns."""
    rest = iter(figures)

    def run():
        order.append(name)
        return next(rest)

    return run


def test_sides_alternate_and_ratios_are_rates(frame):
    order = []
    line = frame.against(
        "x", "rows/s", side("ours", [50, 80, 60], order), side("limit", [100, 100, 200], order),
        what="by hand", params=frame.Params(),
    )  # fmt: skip
    assert order == ["ours", "limit", "limit", "ours", "ours", "limit"]
    assert (line.ours, line.limit, line.ratio) == (60, 100, 0.5)
    assert line.spread == pytest.approx((0.8 - 0.3) / 0.5)


def test_a_time_becomes_a_rate(frame):
    order = []
    line = frame.against(
        "x", "s", side("ours", [3.0], order), side("limit", [2.0], order),
        what="by hand", params=frame.Params(quick=True), less_is_better=True,
    )  # fmt: skip
    assert line.ratio == pytest.approx(0.67, abs=0.01)


def test_a_line_without_a_limit_has_no_ratio(frame):
    line = frame.alone("x", "ms", side("ours", [3.0, 1.0, 2.0], []), params=frame.Params())
    assert (line.ours, line.limit, line.ratio, line.spread) == (2.0, None, None, 1.0)


def test_a_benchmark_prints_its_lines_and_leaves_nothing(run_envoi, tmp_path):
    done = run_envoi("bench", "copying", "--quick", "--json", env=SAMPLES | {"TMPDIR": str(tmp_path)}, code=0)
    assert {key: done.json[key] for key in ("name", "params")} == {
        "name": "copying",
        "params": {"quick": True, "runs": 1},
    }
    rows, count = done.json["lines"]
    assert list(rows) == ["line", "unit", "ours", "limit", "ratio", "what_the_limit_is", "spread"]
    assert (rows["line"], rows["unit"], rows["what_the_limit_is"]) == ("rows", "rows/s", "one prepared block")
    assert rows["ratio"] == pytest.approx(rows["ours"] / rows["limit"])
    assert (count["ours"], count["limit"], count["ratio"]) == (2000.0, None, None)
    assert list(tmp_path.iterdir()) == []


def test_all_benchmarks_are_one_document(run_envoi):
    done = run_envoi("bench", "all", "--quick", "--json", env=SAMPLES, code=0)
    assert [each["name"] for each in done.json] == ["copying"]


def test_a_benchmark_that_fails_leaves_nothing_either(run_envoi, tmp_path):
    (tmp_path / "failing.py").write_text(
        "from bench import frame\ndef lines(params):\n  with frame.instance():\n    raise ValueError('no')\n"
    )
    place = tmp_path / "place"
    place.mkdir()
    done = run_envoi(
        "bench", "failing", env={"ENVOI_BENCH_FOLDER": str(tmp_path), "TMPDIR": str(place)}, code=1
    )
    assert "ValueError: no" in done.err
    assert list(place.iterdir()) == []


def test_an_unknown_benchmark_is_refused_with_the_known_ones(run_envoi):
    done = run_envoi("bench", "nothing", env=SAMPLES, code=3)
    assert "There are: copying" in done.err
