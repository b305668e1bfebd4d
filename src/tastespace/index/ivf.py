"""Inverted lists of whole vectors (see `lists`): what is looked at is scored exactly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from tastespace.index.approximate import Approximate, Mask, Places, Vectors, best_products, selector, together
from tastespace.index.base import Effort, check_vectors
from tastespace.index.lists import Arrangement, Lists, arranged, fill, load_lists, not_of_these, padded

_WIDER = 0.5  # below this share of allowed vectors, more lists are looked at, in proportion


class InvertedIndex(Approximate):
    """Search by head and lists. `lists.safetensors` holds `reach` (1,) too: how many lists a search looks at."""

    kind: ClassVar[str] = "ivf"

    def __init__(self, vectors: Vectors, lists: Lists, n_indexed: int) -> None:
        """Use `build` or `load`."""
        super().__init__(vectors, n_indexed)
        self._lists = lists  # FAISS does not keep it alive
        self._head_vectors = np.ascontiguousarray(vectors[lists.head])
        self._searcher = self._over(lists)
        self._searcher.replace_invlists(lists.held, False)
        self._searcher.is_trained, self._searcher.ntotal = True, n_indexed - len(lists.head)
        self.reach = int(lists.tables["reach"][0])

    @property
    def n_lists(self) -> int:
        """L."""
        return len(self._lists.promises)

    @property
    def nbytes(self) -> int:
        """Lists, what they promise, and the head."""
        lists = self._lists
        listed = (self.n_indexed - len(lists.head)) * (lists.held.code_size + 8)
        tables: list[NDArray[Any]] = [lists.promises, lists.head, self._head_vectors, *lists.tables.values()]
        return int(listed + sum(table.nbytes for table in tables))

    @property
    def effort(self) -> Effort:
        """How many lists there are, and how many of them a search looks at."""
        return Effort(lists=self.n_lists, reach=self.reach)

    def more(self) -> bool:
        """Look at twice as many lists."""
        before = self.reach
        self.reach = min(2 * self.reach, self.n_lists)
        return self.reach > before

    @classmethod
    def build(cls, vectors: Vectors, *, clusters: int | None = None, reach: int = 32) -> Self:
        """Index `vectors` (N, D) in lists of `clusters` (2 sqrt(N) unless given); a search looks at `reach` lists."""
        vectors = np.ascontiguousarray(check_vectors(vectors))
        plan = arranged(vectors, clusters)
        held = faiss.ArrayInvertedLists(len(plan.promises), cls._code_size(vectors.shape[1]))
        tables = {"reach": np.array([min(reach, len(plan.promises))]), **cls._learnt(vectors, plan)}
        found = cls(vectors, Lists(plan.promises, plan.head, held, tables), len(vectors))
        fill(found._searcher, vectors, plan)
        return found

    def save(self, folder: Path) -> None:
        """Write tables and lists."""
        lists = self._lists
        Lists(lists.promises, lists.head, lists.held, {**lists.tables, **self._efforts()}).save(folder)

    @classmethod
    def load(cls, folder: Path, vectors: Vectors) -> Self:
        """Open what `save` wrote; anything else raises `BundleError`."""
        vectors = check_vectors(vectors)
        lists = load_lists(folder, vectors, cls._code_size(vectors.shape[1]))
        if not cls._fits(lists.tables, len(lists.promises), vectors):
            raise not_of_these(folder, vectors)
        return cls(vectors, lists, int(lists.sizes.sum()) + len(lists.head))

    def _look(self, queries: Vectors, wanted: int, share: float, allow: Mask | None) -> tuple[Vectors, Places]:
        reach = min(round(self.reach * max(1.0, _WIDER / share)), self.n_lists)
        asked = faiss.SearchParametersIVF(nprobe=reach, sel=selector(allow))
        scores, found = self._searcher.search(padded(queries, self._searcher.d), self._enough(wanted), params=asked)
        self._check_places(found)
        head = best_products(queries, self._head_vectors, self._lists.head, wanted, allow)
        return together([(self._scored(queries, scores, found), found), head])

    @staticmethod
    def _code_size(dim: int) -> int:
        """Bytes that a list holds of a vector."""
        return 4 * dim

    @classmethod
    def _learnt(cls, vectors: Vectors, plan: Arrangement) -> dict[str, NDArray[Any]]:
        """What else is kept of the vectors."""
        return {}

    @classmethod
    def _fits(cls, tables: Mapping[str, NDArray[Any]], n_lists: int, vectors: Vectors) -> bool:
        """Whether what lies on disk beside the lists can be used."""
        return is_number(tables.get("reach"), n_lists)

    def _over(self, lists: Lists) -> Any:
        """The FAISS index; its coarse quantizer is kept too, as FAISS does not."""
        dim = self.vectors.shape[1]
        self._finder = faiss.IndexFlatIP(dim)
        self._finder.add(lists.promises)
        return faiss.IndexIVFFlat(self._finder, dim, len(lists.promises), faiss.METRIC_INNER_PRODUCT, False)

    def _efforts(self) -> dict[str, NDArray[Any]]:
        """What may have changed since the build."""
        return {"reach": np.array([self.reach], dtype=np.int64)}

    def _enough(self, wanted: int) -> int:
        """How many the lists are asked for."""
        return wanted

    def _scored(self, queries: Vectors, scores: Vectors, found: Places) -> Vectors:
        """(B, W) exact scores."""
        return scores


def is_number(table: NDArray[Any] | None, most: int) -> bool:
    """Whether it holds one number from 1 to `most`."""
    return table is not None and table.dtype == np.int64 and table.shape == (1,) and 1 <= int(table[0]) <= most
