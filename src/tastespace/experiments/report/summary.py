"""Summarise the result of a comparison in sentences (of HTML)."""

from markupsafe import Markup

from tastespace.experiments.report import markup
from tastespace.experiments.report.figures import Figures, Margin, Row
from tastespace.experiments.report.markup import text

_MOST_NAMED = 4  # in one sentence


def name(row_or_name: Row | str) -> Markup:
    """A model's name, as HTML."""
    model = row_or_name.name if isinstance(row_or_name, Row) else row_or_name
    return Markup("<bdi>{}</bdi>").format(text(model).replace("_", Markup("_<wbr>")))


def verdict(figures: Figures) -> Markup:
    """Name the best model, whether its lead is significant, and what it costs."""
    best = figures.winner
    if best is None:
        return Markup("No model has an NDCG, so there is no best model.")
    metric, value = f"NDCG@{figures.k}", markup.decimal(best.figure(figures.metric))
    if figures.all_equal:
        return Markup("All {} models have the same {}, {}: there is none to prefer.").format(
            len(figures.rows), metric, value
        )
    lead = Markup("<strong>{}</strong> has the highest {}, {}").format(name(best), metric, value)
    if len(figures.rows) == 1:
        return Markup("{}; it is the only model, so its lead cannot be tested. {}").format(lead, _cost(best))
    if not figures.margins:
        return Markup("{}; its lead was not tested. {}").format(lead, _cost(best))
    near = [margin for margin in figures.margins if not margin.significant]
    if not near:
        nearest = figures.margins[0]
        return Markup("{}, significantly ahead of every other model ({}, over {}). {}").format(
            lead, _lead(nearest), name(nearest.other), _cost(best)
        )
    beaten = len(figures.margins) - len(near)
    ahead = f" It is significantly ahead of the other {beaten}." if beaten else ""
    return Markup("{}, but its lead over {} is not significant.{} {}{}").format(
        lead, _list(near), ahead, _cost(best), _cheaper(figures, near)
    )


def in_short(figures: Figures) -> Markup:
    """The verdict in a few words, for the overview."""
    best = figures.winner
    if best is None:
        return Markup("none")
    near = [margin for margin in figures.margins if not margin.significant]
    if figures.all_equal:
        return Markup("all models are equal")
    if len(figures.rows) == 1 or not figures.margins:
        return Markup("{} (not tested)").format(name(best))
    if near:
        return Markup("{}, not significantly ahead of {}").format(name(best), _list(near, full=False))
    return Markup("{}, significantly ahead of all others").format(name(best))


def _list(margins: list[Margin], *, full: bool = True) -> Markup:
    names = [
        Markup("{} ({})").format(name(margin.other), _lead(margin)) if full else name(margin.other)
        for margin in margins[:_MOST_NAMED]
    ]
    more = len(margins) - len(names)
    return Markup(", ").join(names) + (f" and {more} more" if more else "")


def _lead(margin: Margin) -> str:
    sign = "+" if margin.difference is not None and margin.difference >= 0 else ""
    return f"{sign}{markup.decimal(margin.difference)}, {markup.probability(margin.p)}"


def _cost(row: Row) -> Markup:
    train, rank = (markup.seconds(row.figure(key)) for key in ("train_seconds", "evaluate_seconds"))
    collapsed = " But its vectors have collapsed: do not use it as it is." if row.collapsed else ""
    return Markup("It takes {} to train and {} to rank all test users.{}").format(train, rank, collapsed)


def _cheaper(figures: Figures, near: list[Margin]) -> Markup:
    """Name the fastest to train of the models that the winner does not significantly beat, if it takes half as long."""
    seconds = {row.name: row.figure("train_seconds") for row in figures.rows}
    own = seconds.get(figures.rows[0].name)
    known = [(taken, margin.other) for margin in near if (taken := seconds.get(margin.other)) is not None]
    if own is None or not known or min(known)[0] > 0.5 * own:
        return Markup("")
    taken, other = min(known)
    return Markup(" Of those that it does not significantly beat, {} trains fastest: {}.").format(
        name(other), markup.seconds(taken)
    )
