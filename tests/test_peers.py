"""The arithmetic of benchmarks/peers.py and its workers; no library is installed and nothing is trained."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from job import Rows, Worker, measured

import peer_jobs
import peer_report
import peers
from peer_settings import KINDS, OURS, PEERS
from tastespace.data.split import Split, ready_split
from tests import build

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASTESPACE_CACHE", str(tmp_path / "cache"))


def _split() -> Split:
    """Two users, 30 items; user 0 likes 0 and 1, user 1 likes 2; to be found: 3 and 4, and 5."""
    train = build.log([(0, 0), (0, 1), (1, 2)], n_users=2, n_items=30)
    return ready_split("tiny", train, build.log([(0, 3), (0, 4), (1, 5)], n_users=2, n_items=30))


def _lists(*firsts: list[int]) -> np.ndarray:
    """Lists of 20 that begin so, filled up with -1."""
    return np.array([first + [-1] * (peer_jobs.DEEPEST - len(first)) for first in firsts])


def _contender(name: str, points: list[tuple[float, float]], **more: Any) -> dict[str, Any]:
    """A finished contender whose first point is its final run."""
    (seconds, ndcg), *curve = points
    told = [{"fit_seconds": s, "ndcg": n} for s, n in curve]
    return {"name": name, "failed": None, "ours": False, "fit_seconds": seconds, "ndcg": ndcg, "curve": told, **more}


def test_the_time_to_reach_is_that_of_the_quickest_point_at_the_target_or_above() -> None:
    points = [(1.0, 0.1), (2.0, 0.3), (4.0, 0.2), (8.0, 0.4)]
    assert peer_report.time_to_reach(points, 0.2) == 2.0
    assert peer_report.time_to_reach(points, 0.3) == 2.0
    assert peer_report.time_to_reach(points, 0.31) == 8.0
    assert peer_report.time_to_reach(points, 0.41) is None
    assert peer_report.time_to_reach([], 0.0) is None


def test_the_best_within_a_budget_is_of_points_no_longer_than_it() -> None:
    slow, quick = _contender("slow", [(60.0, 0.5), (9.0, 0.3)]), _contender("quick", [(2.0, 0.4), (1.0, 0.1)])
    assert peer_report.best_within([slow, quick], 0.5) is None
    assert peer_report.best_within([slow, quick], 59.9) == ("quick", 0.4)
    assert peer_report.best_within([slow, quick], 60.0) == ("slow", 0.5)
    assert peer_report.best_within([{**slow, "failed": "x"}], 60.0) is None


def test_metrics_of_lists_are_those_of_the_paper() -> None:
    part = peer_jobs.hand_over(_split(), 10)
    recall, ndcg = peers.judged(_lists([3, 7], [8, 5]), part)
    assert recall.tolist() == [0.5, 1.0]
    assert ndcg.tolist() == pytest.approx([1 / (1 + 1 / np.log2(3)), 1 / np.log2(3)])


def test_a_hit_beyond_the_cut_off_counts_nothing() -> None:
    part = peer_jobs.hand_over(_split(), 1)
    recall, _ = peers.judged(_lists([7, 3, 4], [5]), part)
    assert recall.tolist() == [0.0, 1.0]


def test_the_largest_difference_is_found_in_either_metric_of_any_list() -> None:
    ours = [(np.array([0.5, 1.0]), np.array([0.2, 0.3])), (np.array([0.0, 0.0]), np.array([0.0, 0.0]))]
    recall, ndcg = np.array([[0.5, 1.0], [0.0, 0.0]]), np.array([[0.2, 0.3], [0.0, 0.0]])
    assert peers.largest_difference(ours, recall, ndcg) == 0.0
    assert peers.largest_difference(ours, recall + np.array([[0, 0], [0, 0.25]]), ndcg) == 0.25
    assert peers.largest_difference(ours, recall, ndcg - np.array([[0.5, 0], [0, 0]])) == 0.5
    assert np.isnan(peers.largest_difference(ours, recall, ndcg * np.nan))


@pytest.mark.parametrize(
    ("top", "message"),
    [
        (_lists([3, 0], [5]), "hidden from its user"),
        (_lists([3, 3], [5]), "an item twice"),
        (_lists([3, 30], [5]), "not in the catalogue"),
        (_lists([3]), r"shape \(1, 20\)"),
    ],
)
def test_lists_that_were_not_asked_for_are_refused(top: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        peer_jobs.check_lists(top, _split(), [0, 1])


def test_an_item_hidden_from_one_user_is_no_mistake_in_the_list_of_another() -> None:
    peer_jobs.check_lists(_lists([2, 3], [0, 1]), _split(), [0, 1])


def test_a_name_depends_on_content_and_not_on_order() -> None:
    assert peer_jobs.key({"a": 1, "b": {"c": 2}}) == peer_jobs.key({"b": {"c": 2}, "a": 1})
    assert peer_jobs.key({"a": 1}) != peer_jobs.key({"a": 2})


def _task(**changes: Any) -> peer_jobs.Task:
    part = peer_jobs.hand_over(_split(), 10)
    return dataclasses.replace(peer_jobs.Task("tastespace_", None, part, {"model": "ease"}), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"model": "mf"}},
        {"seed": 1},
        {"k": 10},
        {"judge": True},
        {"worker": "implicit_"},
        {"arrays": {"top": np.zeros(3)}},
        {"stand_ins": {"vectors": "another"}},
    ],
)
def test_a_job_that_differs_in_anything_is_another_job(changes: dict[str, Any]) -> None:
    assert _task(**changes).identity(1) != _task().identity(1)


def test_a_job_of_other_threads_data_or_code_is_another_job(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _task().identity(1)
    assert _task().identity(2) != plain
    other = dataclasses.replace(_split(), seed=7)
    assert _task(part=peer_jobs.hand_over(other, 10)).identity(1) != plain
    monkeypatch.setattr(peer_jobs, "our_sources", lambda: (Path(__file__),))
    assert _task().identity(1) != plain


def test_where_vectors_lie_does_not_enter_the_name_but_what_they_are_does() -> None:
    here, there = (
        _task(settings={"vectors": f"{folder}/vectors.npz"}, stand_ins={"vectors": "job-1"}).identity(1)
        for folder in ("here", "there")
    )
    assert here == there


def _outcome(failed: str | None, limit: float = 10.0, seconds: float = 5.0) -> peer_jobs.Outcome:
    return peer_jobs.Outcome(Path(), failed, seconds, {}, limit)


def test_what_was_stopped_is_done_again_only_with_more_time_and_other_failures_always() -> None:
    assert _outcome(None).usable(1.0)
    assert _outcome(peer_jobs.over(10.0)).usable(10.0)
    assert not _outcome(peer_jobs.over(10.0)).usable(11.0)
    assert not _outcome("it broke").usable(10.0)


def test_what_took_longer_than_is_allowed_now_has_failed() -> None:
    assert _outcome(None).within(5.0).failed is None
    assert _outcome(None).within(4.9).failed == "over the limit of 4.9 s"


def test_a_finished_job_is_read_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    assert peer_jobs.read_outcome(tmp_path / "nowhere") is None
    told = {"failed": None, "process_seconds": 2, "limit": 9}
    (tmp_path / "outcome.json").write_text(json.dumps(told))
    assert peer_jobs.read_outcome(tmp_path) is None  # no result beside it
    (tmp_path / "result.json").write_text('{"fit_seconds": 1.5}')
    found = peer_jobs.read_outcome(tmp_path)
    assert found is not None
    assert (found.failed, found.process_seconds, found.result["fit_seconds"]) == (None, 2.0, 1.5)
    (tmp_path / "outcome.json").write_text("{")
    assert peer_jobs.read_outcome(tmp_path) is None


def _worker(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "job.py").write_text("")
    (folder / "tastespace_.py").write_text(f"import sys, pathlib\nfolder = pathlib.Path(sys.argv[1])\n{text}\n")
    monkeypatch.setattr(peer_jobs, "WORKERS", folder)


def test_a_job_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = tmp_path / "count"
    text = f"open({str(count)!r}, 'a').write('x'); (folder / 'result.json').write_text('{{\"found\": 3}}')"
    _worker(monkeypatch, tmp_path / "workers", text)
    first, again = (peer_jobs.do(_task(), 1, 60.0) for _ in range(2))
    assert first.result == again.result == {"found": 3}
    assert count.read_text() == "x"


def test_a_worker_that_breaks_is_told_by_its_last_error_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    _worker(monkeypatch, tmp_path / "workers", f"open({str(count)!r}, 'a').write('x'); raise ValueError('no vectors')")
    for _ in range(2):
        assert peer_jobs.do(_task(), 1, 60.0).failed == "ValueError: no vectors"
    assert count.read_text() == "xx"


def test_a_worker_over_its_limit_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _worker(monkeypatch, tmp_path / "workers", "import threading; threading.Event().wait()")
    assert peer_jobs.do(_task(), 1, 0.2).failed == "over the limit of 0.2 s"


def test_errors_are_told_without_addresses_and_paths() -> None:
    output = "Looking at https://host.example/simple\nERROR: no wheel at https://host.example/x or /home/me/y\nbye"
    assert peer_jobs.last_error(output) == "ERROR: no wheel at … or …"
    assert peer_jobs.last_error("only this\n") == "only this"
    assert peer_jobs.last_error("") == "no output"


def test_a_peer_sees_nothing_of_our_packages_and_has_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    peer = peer_jobs.Environment("peer", (), (("OPENBLAS_NUM_THREADS", "1"),))
    assert "PYTHONPATH" not in peer_jobs.variables(peer, 4)
    assert peer_jobs.variables(peer, 4)["OMP_NUM_THREADS"] == "4"
    assert peer_jobs.variables(peer, 4)["OPENBLAS_NUM_THREADS"] == "1"
    assert peer_jobs.variables(None, 4)["PYTHONPATH"] == "somewhere"


def test_rows_reach_a_worker_as_they_are(tmp_path: Path) -> None:
    log = build.log([(0, 1, 1, 50), (1, 0, -1, 60), (1, 1, 0, 70)])
    np.savez(tmp_path / "train.npz", **peer_jobs.columns(log))
    rows = Rows.read(tmp_path / "train.npz")
    assert (rows.user.tolist(), rows.item.tolist(), rows.weight.tolist()) == ([0, 1, 1], [1, 0, 1], [1, -1, 0])
    likes = rows.likes()
    assert likes.time is not None
    assert (likes.user.tolist(), likes.item.tolist(), likes.time.tolist()) == ([0], [1], [50])
    np.savez(tmp_path / "timeless.npz", **peer_jobs.columns(build.log([(0, 1)])))
    assert Rows.read(tmp_path / "timeless.npz").time is None


def test_training_rows_alone_are_handed_to_a_trial() -> None:
    split = _split()
    part = peer_jobs.hand_over(dataclasses.replace(split, train=build.log([(0, 0), (0, 1), (0, 6), (1, 2)])), 10)
    inner = peer_jobs.hand_over(part.split.for_validation(), 10)
    handed = Rows.read(inner.folder / "train.npz"), Rows.read(inner.folder / "test.npz")
    pairs = [set(zip(rows.user.tolist(), rows.item.tolist(), strict=True)) for rows in handed]
    assert pairs[0] | pairs[1] == {(0, 0), (0, 1), (0, 6), (1, 2)}
    assert not pairs[0] & pairs[1]
    assert pairs[1]


def test_a_worker_measures_and_writes_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = peer_jobs.hand_over(_split(), 10)
    job = {"data": str(part.folder), "settings": {"n": 7}, "seed": 3, "k": 20, "threads": 1, "judge": False}
    (tmp_path / "job.json").write_text(json.dumps(job))
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path)])
    Worker(
        fit=lambda job: job.settings["n"] + job.seed,
        top=lambda job, model: np.full((len(job.ask), job.k), model),
        note=lambda model: {"model": model},
    ).run()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["notes"] == {"model": 10}
    assert 0 <= result["fit_mib"] < result["whole_mib"]
    assert np.load(tmp_path / "top.npy").tolist() == [[10] * 20] * 2


@pytest.mark.parametrize("resettable", [True, False])
def test_memory_of_a_block_is_what_it_held_at_most(resettable: bool) -> None:
    code = (
        "import job, numpy as np, threading\n"
        f"job._reset_peak = job._reset_peak if {resettable} else (lambda: False)\n"
        "before = np.ones(30 * 2**17); del before\n"
        "with job.measured() as found:\n"
        "    held = np.ones(50 * 2**17)\n"  # 50 MiB
        "    threading.Event().wait(0.1)\n"
        "    del held\n"
        "print(found['mib'])"
    )
    folder = BENCHMARKS / "peer_workers"
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert 45 < float(ran.stdout) < 60


def test_seconds_of_a_block_are_counted() -> None:
    with measured() as found:
        pass
    assert 0 <= found["seconds"] < 1


def test_a_setting_is_shortened_by_its_length() -> None:
    peer = peers.shortened(KINDS["implicit ALS"], {"iterations": 16, "factors": 8}, None)
    assert peer == [{"iterations": n, "factors": 8} for n in (2, 4, 8, 12, 16)]
    assert peers.shortened(KINDS["implicit ALS"], {"iterations": 1}, None) == [{"iterations": 1}]
    assert peers.shortened(KINDS["ease"], {"l2": 3.0}, None) == []


def test_ours_is_shortened_by_what_its_search_came_to_and_not_searched_again() -> None:
    found = peers.shortened(KINDS["mf"], {"dim": 8}, 8)
    assert found == [{"dim": 8, "epochs": n, "search": False} for n in (1, 2, 4, 6, 8)]


def test_a_summary_is_mean_quality_median_seconds_and_most_memory() -> None:
    names = ("recall", "ndcg", "fit_seconds", "rank_seconds", "process_seconds", "whole_mib", "fit_mib")
    rows = [dict.fromkeys(names, value) for value in (1.0, 2.0, 6.0)]
    found = peers.summary(rows)
    assert (found["ndcg"], found["fit_seconds"], found["whole_mib"]) == (3.0, 2.0, 6.0)
    assert found["ndcg_spread"] == pytest.approx(np.sqrt(7.0))
    assert peers.summary(rows[:1])["ndcg_spread"] == 0.0


def test_every_contender_has_as_many_trials_and_all_of_them_differ() -> None:
    most = max(peers.TRIALS.values())
    for listed in [*PEERS.values(), *OURS.values()]:
        for name, settings in listed.items():
            assert name in KINDS
            assert len(settings) == most, name
            assert len({json.dumps(one, sort_keys=True) for one in settings}) == most, name


def _document() -> dict[str, Any]:
    figures = {"recall": 0.2, "ndcg_spread": 0.001, "rank_seconds": 0.1, "process_seconds": 4.0, "fit_mib": 10.0}
    figures |= {"whole_mib": 100.0}
    trial = {"failed": None, "settings": {}}
    done = [
        _contender("mf", [(3.0, 0.35), (1.0, 0.31)], ours=True, best={}, trials=[trial], **figures),
        _contender("implicit ALS", [(1.5, 0.3)], best={"factors": 16}, trials=[trial], **figures),
    ]
    lost = {"name": "RecBole BPR", "ours": False, "failed": "not installed: no wheel", "trials": []}
    evaluation = {"contender": "implicit ALS", "failed": None, "by": "theirs", "seconds": 2.0, "our_seconds": 0.5}
    evaluation |= {"ratio": 4.0, "figures": {"ndcg": 0.3}, "our_figures": {"ndcg": 0.3, "recall": 0.2}}
    told = {"about": "tiny", "k": 10, "measured": "today", "threads": 1, "trials": 1, "seeds": 1, "limit": 5.0}
    found = {**told, "environments": {"implicit": {"implicit": "0.7.3"}}, "contenders": [*done, lost]}
    found |= {"not_asked": {"RecTools SASRec": "no order"}, "evaluators": [evaluation]}
    found["cross_check"] = {"by": "ranx 0", "lists": 2, "users": 2, "largest_difference": 1e-16}
    return {"machine": "a machine", "data_sets": {"ml-100k": found}}


def test_the_page_tells_ratios_failures_and_who_reaches_what() -> None:
    page = "\n".join(peer_report.page(_document()))
    assert "implicit ALS, NDCG@10 0.3000 after 1.50 s; mf reaches it in 1.00 s" in page
    assert re.search(r"\| implicit ALS \| 0.2000 \| 0.3000 ± 0.0010 \| 1.50 \| 0.5× \|", page)
    assert "not installed: no wheel" in page
    assert "not run: no order" in page
    assert "| implicit ALS | theirs | 2.000 | 0.500 | 4.0 |" in page


def test_the_picture_names_every_finished_contender_and_stands_alone() -> None:
    drawn = peer_report.picture("ml-100k", _document()["data_sets"]["ml-100k"])
    assert drawn is not None
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert ">implicit ALS<" in drawn
    assert ">mf<" in drawn
    assert "RecBole" not in drawn
    used = set(re.findall(r"var\((--[\w-]+)\)", drawn))
    assert used == {name for name in used if f"{name}: #" in drawn}
