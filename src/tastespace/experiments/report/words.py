"""Words: what a comparison comes to, in sentences (of HTML)."""

from tastespace.experiments.report import markup
from tastespace.experiments.report.markup import text
from tastespace.experiments.report.reading import Duel, Figures, Row

_MOST_NAMED = 4  # in one sentence


def name(row_or_name: Row | str) -> str:
    """A model's name, as HTML."""
    told = row_or_name.name if isinstance(row_or_name, Row) else row_or_name
    return f"<bdi>{text(told).replace('_', '_<wbr>')}</bdi>"


def verdict(figures: Figures) -> str:
    """Who leads, whether chance may explain it, and what it costs."""
    best = figures.winner
    if best is None:
        return "No model has an NDCG, so nothing can be said of who is best."
    value = markup.decimal(best.figure(figures.metric))
    opening = f"<strong>{name(best)}</strong> has the highest NDCG@{figures.k}, {value}"
    if len(figures.rows) == 1:
        return f"{opening}; it stands alone, so nothing can be said of its lead. {_cost(best)}"
    if figures.all_equal:
        return f"All {len(figures.rows)} models have the same NDCG@{figures.k}, {value}: there is none to prefer."
    if not figures.duels:
        return f"{opening}; its lead was not tested. {_cost(best)}"
    near = [duel for duel in figures.duels if not duel.significant]
    if not near:
        first = figures.duels[0]
        over = f"{_lead(first)}, over {name(first.other)}"
        return f"{opening}, significantly ahead of every other model ({over}). {_cost(best)}"
    beaten = len(figures.duels) - len(near)
    ahead = f" It is significantly ahead of the other {beaten}." if beaten else ""
    return (
        f"{opening}, but its lead over {_list(near)} is not significant.{ahead} {_cost(best)}{_cheaper(figures, near)}"
    )


def in_short(figures: Figures) -> str:
    """The verdict in a few words, for the overview."""
    best = figures.winner
    if best is None:
        return "none"
    near = [duel for duel in figures.duels if not duel.significant]
    if figures.all_equal:
        return "all models are equal"
    if len(figures.rows) == 1 or not figures.duels:
        return f"{name(best)} (not tested)"
    return (
        f"{name(best)}, not told apart from {_list(near, full=False)}"
        if near
        else f"{name(best)}, significantly ahead of all others"
    )


def _list(duels: list[Duel], *, full: bool = True) -> str:
    told = [name(duel.other) + (f" ({_lead(duel)})" if full else "") for duel in duels[:_MOST_NAMED]]
    more = len(duels) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _lead(duel: Duel) -> str:
    sign = "+" if duel.difference is not None and duel.difference >= 0 else ""
    return f"{sign}{markup.decimal(duel.difference)}, {text(markup.probability(duel.p))}"


def _cost(row: Row) -> str:
    sick = " But its vectors have collapsed: do not use it as it is." if row.collapsed else ""
    train, rank = (text(markup.seconds(row.figure(key))) for key in ("train_seconds", "evaluate_seconds"))
    return f"It takes {train} to train and {rank} to rank all test users.{sick}"


def _cheaper(figures: Figures, near: list[Duel]) -> str:
    """The quickest of those that are not told apart from the winner, if it is quicker by half."""
    seconds = {row.name: row.figure("train_seconds") for row in figures.rows}
    own = seconds.get(figures.rows[0].name)
    known = [(taken, duel.other) for duel in near if (taken := seconds.get(duel.other)) is not None]
    if own is None or not known or min(known)[0] > 0.5 * own:
        return ""
    taken, other = min(known)
    return f" Of those it is not told apart from, {name(other)} is the quickest: {text(markup.seconds(taken))}."
