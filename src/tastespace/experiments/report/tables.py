"""Lay out the tables: quality, cost, paired tests, embedding health and overview."""

from collections.abc import Sequence

from markupsafe import Markup

from tastespace.experiments.report import markup
from tastespace.experiments.report.figures import SIGNIFICANT, Figures, Row, number
from tastespace.experiments.report.markup import DASH, Cell, Column, Table, text
from tastespace.experiments.report.summary import name

_QUALITY = {"ndcg": "NDCG", "recall": "Recall", "hit": "Hit", "mrr": "MRR", "map": "MAP", "precision": "Precision"}


def results(figures: Figures, ident: str) -> Table:
    """Every model's ranking metrics, the best of each column marked."""
    quality = [(f"{metric}@{figures.k}", f"{label}@{figures.k}") for metric, label in _QUALITY.items()]
    columns = [Column("model"), *(Column(f"{label} ↑") for _, label in quality)]
    rows = []
    for row in figures.rows:
        cells = [_quality(figures, row, metric, seeds=place < 2) for place, (metric, _) in enumerate(quality)]
        rows.append((Cell(name(row), ["reference"] if row.reference else _epochs(row)), cells))
    caption = (
        "Means over users and seeds; under them the 95 % interval over users, then the lowest and highest seed. "
        "★ best of its column; ↑ higher is better, ↓ lower is better."
    )
    return Table(ident, caption, columns, rows)


def costs(figures: Figures, ident: str) -> Table:
    """Every model's cost and properties of its recommendations, the best of each column marked."""
    k = figures.k
    columns = [
        Column("model"),
        Column("train s ↓"),
        Column("eval s ↓"),
        Column("parameters"),
        Column("coverage ↑"),
        Column("mean popularity ↓"),
        Column("Gini ↓"),
        Column("novelty ↑", "bits"),
        Column("effective rank"),
    ]
    rows = []
    for row in figures.rows:
        cells = [_seconds(figures, row, key) for key in ("train_seconds", "evaluate_seconds")]
        cells.append(Cell(_parameters(row)))
        cells.append(_share(figures, row, f"coverage@{k}"))
        cells.append(_plain(figures, row, f"popularity@{k}", places=0, lowest=True))
        cells.append(_plain(figures, row, f"gini@{k}", places=3, lowest=True))
        cells.append(_plain(figures, row, f"novelty@{k}", places=2))
        cells.append(_effective_rank(row))
        rows.append((Cell(name(row)), cells))
    caption = (
        f"Over the {k} items recommended to each user. Coverage: share of the catalogue recommended to at least one "
        "user. Mean popularity: training positives of a recommended item, on average. Gini: how unevenly "
        "recommendations are spread over items, 0 when all items are recommended equally often. Novelty: mean "
        "self-information of a recommended item. Effective rank: number of dimensions that the embeddings use, see "
        "embedding health below."
    )
    return Table(ident, caption, columns, rows)


def tests(figures: Figures, ident: str) -> Table:
    """Every pair of models with its p-value, before and after correction."""
    rows = []
    for test in figures.tests:
        p, corrected = number(test.get("p")), number(test.get("p_corrected"))
        rows.append(
            (
                Cell(Markup("{} against {}").format(name(str(test.get("a"))), name(str(test.get("b"))))),
                [
                    Cell(markup.decimal(number(test.get("difference")))),
                    Cell(_p(p)),
                    Cell(_p(corrected)),
                    Cell(DASH if corrected is None else "yes" if corrected < SIGNIFICANT else "no"),
                ],
            )
        )
    caption = f"Paired Wilcoxon signed-rank tests over users on NDCG@{figures.k}, Holm-corrected for all pairs."
    titles = ("pair", "difference", "p", "p, Holm", "significant at 0.05")
    return Table(ident, caption, [Column(title) for title in titles], rows)


def health(figures: Figures, ident: str) -> Table:
    """Figures of each model's vectors."""
    rows = []
    for row in figures.rows:
        for noun, space in row.spaces.items():
            rank, dim, dead = (number(space.get(key)) for key in ("effective_rank", "dim", "dead_rows"))
            checked = number(space.get("sampled_rows"))
            said = [warning for warning in row.warnings if f"{noun[:-1]} vectors" in warning]
            rows.append(
                (
                    Cell(name(row), [f"{noun[:-1]} vectors"]),
                    [
                        Cell(f"{markup.decimal(rank, 1)} of {markup.decimal(dim, 0)}"),
                        Cell(f"{markup.decimal(dead, 0)} of {markup.decimal(checked, 0)}"),
                        Cell(markup.decimal(number(space.get("norm_popularity")), 2)),
                        Cell(markup.decimal(number(space.get("spread")), 3)),
                        Cell(Markup("; ").join(text(warning, 200) for warning in said) or "healthy"),
                    ],
                )
            )
    columns = [
        Column("model"),
        Column("effective rank", "of dimensions"),
        Column("zero vectors", "of vectors checked"),
        Column("norm and popularity", "Spearman’s correlation"),
        Column("spread"),
        Column("verdict"),
    ]
    caption = (
        "Effective rank: number of dimensions that the vectors use. Zero vectors: of negligible norm. Norm and "
        "popularity: rank correlation over items or users. Spread: share of the squared norm that is left after "
        "centring, 0 when all vectors are equal."
    )
    return Table(ident, caption, columns, rows, ends_in_words=True)


def overview(all_figures: Sequence[Figures], ident: str) -> Table:
    """NDCG of every model under every protocol, the best of each marked."""
    names = list(dict.fromkeys(row.name for figures in all_figures for row in figures.rows))
    rows = []
    for model in names:
        cells = []
        for figures in all_figures:
            row = next((row for row in figures.rows if row.name == model), None)
            cells.append(Cell(DASH) if row is None else _quality(figures, row, figures.metric, seeds=False))
        rows.append((Cell(name(model)), cells))
    columns = [Column("model"), *(Column(text(f.protocol, 30), f"NDCG@{f.k} ↑") for f in all_figures)]
    caption = (
        "NDCG under each protocol. Figures of different protocols answer different questions: compare within a column."
    )
    return Table(ident, caption, columns, rows)


def _quality(figures: Figures, row: Row, metric: str, *, seeds: bool = True) -> Cell:
    ends, spread = row.interval(metric), row.spread(metric)
    notes = [f"{ends[0]:.4f} to {ends[1]:.4f}"] if ends else []
    if seeds and spread:
        notes.append(f"seeds {spread[0]:.4f} to {spread[1]:.4f}")
    value = row.figure(metric)
    return Cell(markup.decimal(value), notes, value is not None and value == figures.best(metric))


def _seconds(figures: Figures, row: Row, key: str) -> Cell:
    value = row.figure(key)
    return Cell(markup.number_of_seconds(value), (), value is not None and value == figures.best(key, lowest=True))


def _share(figures: Figures, row: Row, key: str) -> Cell:
    value = row.figure(key)
    share = DASH if value is None else f"{100 * value:.1f} %"
    return Cell(share, (), value is not None and value == figures.best(key))


def _plain(figures: Figures, row: Row, key: str, *, places: int, lowest: bool = False) -> Cell:
    value = row.figure(key)
    return Cell(markup.decimal(value, places), (), value is not None and value == figures.best(key, lowest=lowest))


def _parameters(row: Row) -> str:
    value = row.figure("parameters")
    return "closed form" if value == 0 else markup.decimal(value, 0)


def _epochs(row: Row) -> list[str]:
    epochs, seeds = row.figure("epochs"), len(row.seeds)
    notes = [f"{epochs:.0f} epochs"] if epochs else []
    return [*notes, f"{seeds} seeds"] if seeds > 1 else notes


def _effective_rank(row: Row) -> Cell:
    """Effective rank of the item embeddings, or of the user embeddings without those, and their state."""
    if not row.spaces:
        return Cell(DASH)
    space = next(iter(row.spaces.values()))
    rank, dim = number(space.get("effective_rank")), number(space.get("dim"))
    state = "collapsed" if row.collapsed else "see warnings" if row.warnings else "healthy"
    return Cell(f"{markup.decimal(rank, 1)} of {markup.decimal(dim, 0)}", [state])


def _p(value: float | None) -> str:
    return DASH if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
