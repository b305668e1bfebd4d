"""Pieces written by hand against the library that could stand in: results/own_implementations.{json,md}.

    .venv/bin/python benchmarks/own_implementations.py [--only inverted_lists]

Each section measures one piece and its alternative in the same run, so that their ratio holds on any machine. A section
is a function without arguments that returns comparisons; it stands in `SECTIONS`. `--only` prints and writes nothing.
"""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from answers import planted
from figures import median_seconds, rounded
from tastespace._atomic import write_text

RESULTS = Path(__file__).parent / "results"
PYDANTIC = "pydantic==2.14.4"  # installed for its section alone


@dataclass(frozen=True)
class Comparison:
    """One measure of a piece and of its alternative."""

    piece: str
    alternative: str
    measure: str
    own: float
    library: float


def inverted_lists() -> list[Comparison]:
    """`index/lists.py`: lists by direction and length, in files of its own, against FAISS's IVF and HNSW."""
    import faiss

    from tastespace.index import ExactIndex, build_index

    vectors, queries = planted(100_000, 200, power=3.0)
    truth = ExactIndex.build(vectors).search(queries, 10).indices
    began = time.perf_counter()
    index, _ = build_index(vectors, queries, kind="ivf", recall=0.98)
    own_build = time.perf_counter() - began
    own = _milliseconds(lambda row: index.search(queries[row : row + 1], 10), len(queries))
    rows = []

    began = time.perf_counter()
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    ivf = faiss.IndexIVFFlat(quantizer, vectors.shape[1], round(2 * len(vectors) ** 0.5), faiss.METRIC_INNER_PRODUCT)
    ivf.train(vectors)
    ivf.add(vectors)
    seconds = time.perf_counter() - began
    ivf.nprobe = 1
    while _recall(ivf.search(queries, 10)[1], truth) < 0.98 and ivf.nprobe < ivf.nlist:
        ivf.nprobe = min(2 * ivf.nprobe, ivf.nlist)
    taken = _milliseconds(lambda row: ivf.search(queries[row : row + 1], 10), len(queries))
    name = f"faiss.IndexIVFFlat (nprobe {ivf.nprobe} of {ivf.nlist})"
    rows.append(_lists("ms a query at recall@10 of 0.98", name, own, taken))
    rows.append(_lists("seconds to build", "faiss.IndexIVFFlat", own_build, seconds))

    began = time.perf_counter()
    graph = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    graph.add(vectors)
    seconds = time.perf_counter() - began
    graph.hnsw.efSearch = 64
    while (reached := _recall(graph.search(queries, 10)[1], truth)) < 0.98 and graph.hnsw.efSearch < 2048:
        graph.hnsw.efSearch *= 2
    taken = _milliseconds(lambda row: graph.search(queries[row : row + 1], 10), len(queries))
    name = f"faiss.IndexHNSWFlat (M 16, efSearch {graph.hnsw.efSearch}, recall {reached:.3f})"
    rows.append(_lists("ms a query at recall@10 of 0.98", name, own, taken))
    rows.append(_lists("seconds to build", "faiss.IndexHNSWFlat", own_build, seconds))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index.save(folder)
        faiss.write_index(ivf, str(folder / "faiss"))
        own = median_seconds(lambda: type(index).load(folder, vectors), 5)
        for reader, flags in (("faiss.read_index", 0), ("faiss.read_index, mapped", faiss.IO_FLAG_MMAP)):
            taken = median_seconds(lambda flags=flags: faiss.read_index(str(folder / "faiss"), flags), 5)
            rows.append(_lists("seconds to load", reader, own, taken))
    return [*rows, _altered_files()]


def _altered_files(n_files: int = 200) -> Comparison:
    """Of files with 8 bytes of sizes or indices altered, how many crash, hang or answer with indices out of range."""
    import faiss

    from tastespace.index import InvertedIndex

    vectors, queries = planted(4000, 5, power=3.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        InvertedIndex.build(vectors, nprobe=300).save(folder)
        quantizer = faiss.IndexFlatIP(vectors.shape[1])
        ivf = faiss.IndexIVFFlat(quantizer, vectors.shape[1], 100, faiss.METRIC_INNER_PRODUCT)
        ivf.train(vectors)
        ivf.add(vectors)
        ivf.nprobe = ivf.nlist
        faiss.write_index(ivf, str(folder / "faiss"))
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "queries.npy", queries)
        content = (folder / "faiss").read_bytes()
        lists, last = content.index(b"ilar"), len(content) - 8 * 40  # sizes of the lists; indices of the last of them
        faiss_bytes = [*range(150), *range(lists, lists + 40), *range(last, len(content) - 8)]
        own_bytes = range((folder / "lists.bin").stat().st_size - 8 * 40, (folder / "lists.bin").stat().st_size - 8)
        own = _failures(folder, "lists.safetensors", range(1200), _search_own, n_files // 2)
        own += _failures(folder, "lists.bin", own_bytes, _search_own, n_files // 2)
        library = _failures(folder, "faiss", faiss_bytes, _search_faiss, n_files)
    return _lists(
        "share of altered files that crash, hang or mislead",
        "faiss.read_index, mapped",
        own / n_files,
        library / n_files,
    )


def _failures(folder: Path, file: str, offsets: Sequence[int], search: Callable[[Path], None], n_files: int) -> int:
    """Number of altered copies of a file with which a process does not end well within 3 seconds."""
    original, rng, failures = (folder / file).read_bytes(), np.random.default_rng(0), 0
    for _ in range(n_files):
        at = int(rng.choice(offsets))
        value = int(rng.choice([0, 3, 2**20])).to_bytes(8, "little")
        (folder / file).write_bytes(original[:at] + value + original[at + 8 :])
        failures += not _ends_well(lambda: search(folder))
    (folder / file).write_bytes(original)
    return failures


def _ends_well(job: Callable[[], None]) -> bool:
    """Whether a job in a forked process returns; an exception is a failure as much as a crash."""
    child = os.fork()
    if child == 0:
        import faiss

        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        faiss.omp_set_num_threads(1)  # threads do not survive a fork
        resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
        try:
            job()
            os._exit(0)
        finally:
            os._exit(1)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _search_own(folder: Path) -> None:
    """Load the own files and search; an altered file may be refused, and must never give an index out of range."""
    from tastespace.errors import BundleError
    from tastespace.index import InvertedIndex

    vectors, queries = np.load(folder / "vectors.npy"), np.load(folder / "queries.npy")
    try:
        indices = InvertedIndex.load(folder, vectors).search(queries, 10).indices
    except BundleError:
        return
    assert indices.max() < len(vectors)


def _search_faiss(folder: Path) -> None:
    """Do the same with FAISS's file and reader."""
    import faiss

    queries = np.load(folder / "queries.npy")
    try:
        indices = faiss.read_index(str(folder / "faiss"), faiss.IO_FLAG_MMAP).search(queries, 10)[1]
    except (RuntimeError, MemoryError):
        return
    assert indices.max() < len(np.load(folder / "vectors.npy"))  # -1 where fewer than 10 remain


def top_k_by_strips() -> list[Comparison]:
    """`evaluation/ranking.py`: the k best of each row by maxima of strips, against `torch.topk`."""
    import torch

    from tastespace.evaluation.ranking import top_k

    rows = []
    for n_items in (1_682, 20_000, 200_000):
        scores = torch.rand(4_000_000 // n_items, n_items, generator=torch.Generator().manual_seed(0))
        seconds = _fastest(partial(top_k, scores, 10), partial(scores.topk, 10, dim=1))
        measure = f"seconds for the best 10 of {n_items:,}, {len(scores):,} rows, one thread"
        rows.append(Comparison("top-k (evaluation/ranking.py)", "torch.topk, ties in any order", measure, *seconds))
    return rows


def adam() -> list[Comparison]:
    """`training/optimizer.py`: first step in a process, and a step of a large table, against `torch.optim.AdamW`."""
    import torch

    from tastespace.training.optimizer import Adam

    piece = "Adam (training/optimizer.py)"
    first = [_first_step(own=own) for own in (True, False)]
    rows = [Comparison(piece, "torch.optim.AdamW", "seconds until the first step ends, torch imported", *first)]
    weights = [torch.nn.Parameter(torch.zeros(200_000, 64)) for _ in range(2)]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    own, library = Adam([weights[0]], weight_decay=0.01), torch.optim.AdamW([weights[1]], lr=0.001, weight_decay=0.01)
    seconds = _fastest(partial(own.step, 0.001), library.step)
    rows.append(Comparison(piece, "torch.optim.AdamW", "seconds a step of 200,000 x 64 weights, one thread", *seconds))
    return rows


def gradients() -> list[Comparison]:
    """`models/parts`: gradients written out against those that torch derives, forwards and backwards."""
    import torch
    from torch.nn import functional as F

    from tastespace.models.parts.losses import sampled_softmax
    from tastespace.models.parts.scaling import to_lengths

    vectors, generator = torch.nn.Parameter(torch.randn(6_500, 256)), torch.Generator().manual_seed(0)

    def normalized() -> None:
        F.normalize(vectors.unflatten(1, (2, 128)), dim=2).mul(2.0).flatten(1).sum().backward()

    taken = _fastest(lambda: to_lengths(vectors, [(128, 2.0), (128, 2.0)]).sum().backward(), normalized)
    rows = [
        Comparison(
            "vectors at a length (models/parts/scaling.py)",
            "torch.nn.functional.normalize",
            "seconds for 6,500 x 2 x 128, one thread",
            *taken,
        )
    ]
    scores, positive = torch.nn.Parameter(torch.randn(800, 1_024)), torch.randn(5_500)
    rivals, of = torch.rand(800, 1_024, generator=generator) < 0.001, torch.arange(5_500) % 800
    log_expected, weight = torch.zeros(1_024), torch.ones(5_500)

    def derived() -> None:
        log_sum = torch.logsumexp((scores + 0 - log_expected).masked_fill(rivals, -torch.inf), dim=1)
        ((torch.logaddexp(positive, log_sum[of]) - positive) * weight).mean().backward()

    taken = _fastest(
        lambda: sampled_softmax(positive, of, scores + 0, rivals, log_expected, weight).backward(), derived
    )
    piece, measure = "sampled softmax (models/parts/losses.py)", "seconds for 800 x 1,024 scores, one thread"
    return [*rows, Comparison(piece, "torch.logsumexp", measure, *taken)]


def option_classes() -> list[Comparison]:
    """`config.py`: seconds until one documented class of options exists, in a fresh process, against pydantic."""
    own = (
        "from dataclasses import dataclass\nfrom tastespace.config import check, option\n"
        "@dataclass(frozen=True)\nclass Options:\n    dim: int = option(64, 'dimension', at_least=2)\n"
        "    def __post_init__(self): check(self)\nOptions()"
    )
    library = (
        "import pydantic\n"
        "class Options(pydantic.BaseModel, extra='forbid', frozen=True):\n    dim: int = pydantic.Field(64, ge=2)\n"
        "Options()"
    )
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, PYDANTIC]
        subprocess.run(pip, check=True)
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        taken, other = (
            median_seconds(
                lambda code=code: subprocess.run(
                    [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path}
                ),
                9,
            )
            for code in (own, library)
        )
    return [Comparison("options (config.py)", PYDANTIC, "seconds of a process that declares a class", taken, other)]


def _fastest(own: Callable[[], object], library: Callable[[], object], runs: int = 12) -> tuple[float, float]:
    """Seconds of the fastest of `runs` calls of each, in turns, on one thread: steady on a machine that is busy."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = [(median_seconds(own, 1), median_seconds(library, 1)) for _ in range(runs)]
    torch.set_num_threads(threads)
    return min(first for first, _ in times), min(second for _, second in times)


def _first_step(*, own: bool) -> float:
    """Seconds of a process from the imported torch to the end of a first step."""
    make = "from tastespace.training.optimizer import Adam; step = lambda: Adam([weight]).step(0.001)"
    if not own:
        make = "step = lambda: torch.optim.AdamW([weight], lr=0.001).step()"
    code = "import time, torch; start = time.perf_counter(); weight = torch.nn.Parameter(torch.zeros(10)); "
    code += f"weight.grad = torch.ones(10); {make}; step(); print(time.perf_counter() - start)"
    outputs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(3)]
    return float(np.median([float(output) for output in outputs]))


def _lists(measure: str, alternative: str, own: float, library: float) -> Comparison:
    return Comparison("inverted lists (index/lists.py)", alternative, measure, own, library)


def _recall(indices: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([np.isin(best, row).mean() for best, row in zip(truth, indices, strict=True)]))


def _milliseconds(search: Callable[[int], object], n_queries: int) -> float:
    """Median milliseconds of a call with 0, 1, ..."""
    search(0)
    times = []
    for row in range(n_queries):
        began = time.perf_counter()
        search(row)
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


SECTIONS: dict[str, Callable[[], list[Comparison]]] = {
    "inverted_lists": inverted_lists,
    "top_k_by_strips": top_k_by_strips,
    "adam": adam,
    "gradients": gradients,
    "options": option_classes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(SECTIONS), help="measure one section and print it")
    options = parser.parse_args()
    sections = SECTIONS if options.only is None else {options.only: SECTIONS[options.only]}
    comparisons = [comparison for measure in sections.values() for comparison in measure()]
    lines = table(comparisons)
    print("\n".join(lines))
    if options.only is not None:
        return
    about = {
        "measured": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()} with {os.cpu_count()} cores",
    }
    document = {**about, "comparisons": [asdict(comparison) for comparison in comparisons]}
    title = ["# Own implementations", "", f"Measured {about['measured']} on {about['machine']} by", ""]
    title[2] += " benchmarks/own_implementations.py. Above 1, the library takes so many times as much."
    write_text(RESULTS / "own_implementations.json", json.dumps(rounded(document), indent=1) + "\n")
    write_text(RESULTS / "own_implementations.md", "\n".join([*title, *lines]) + "\n")


def table(comparisons: list[Comparison]) -> list[str]:
    """The comparisons as Markdown."""
    lines = ["| piece | alternative | measure | own | library | library / own |", "|---|---|---|---|---|---|"]
    for row in comparisons:
        ratio = f"{row.library / row.own:.2f}" if row.own else "-"
        lines.append(
            f"| {row.piece} | {row.alternative} | {row.measure} | {row.own:.3g} | {row.library:.3g} | {ratio} |"
        )
    return lines


if __name__ == "__main__":
    main()
