"""Commands that answer: recommend, explain, similar-items, similar-users."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastespace.cli import output
from tastespace.cli.options import AsJson, K, parse_features
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.data.vocabulary import Vocabulary

Bundle = Annotated[Path, typer.Argument(help="A model directory.", show_default=False)]
User = Annotated[str | None, typer.Option(help="A user's id.", show_default=False)]
History = Annotated[str | None, typer.Option(help="Item ids, oldest first, with commas between.", show_default=False)]
Feature = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="An attribute of the user; repeatable.", show_default=False),
]


def recommend(
    bundle: Bundle,
    user: User = None,
    history: History = None,
    feature: Feature = None,
    exclude: Annotated[str | None, typer.Option(help="Item ids that must not come back.", show_default=False)] = None,
    allow: Annotated[str | None, typer.Option(help="Item ids that alone may come back.", show_default=False)] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION", help="Of item attributes: \"genres = 'Comedy' and year >= 1990\".", show_default=False
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="For every user, to the file --out.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --all: a .parquet, .csv or .jsonl file.", show_default=False)
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="A YAML file of rules.", show_default=False)] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Say of each item because of what.")] = False,
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Recommend to a user, a history, a description, anybody, or everybody.

    Example: tastespace recommend models/films --user 42 --where "genres = 'Comedy' and year >= 1990"
    """
    from tastespace.serving.recommender import Recommender
    from tastespace.serving.rules_yaml import read_rules

    if everyone or out is not None:
        _recommend_all(
            bundle,
            everyone,
            out,
            k,
            exclude,
            allow,
            where,
            json,
            alone=(user, history, feature, rules, reasons or None),
        )
        return
    _check_history(history)
    features = parse_features(feature)
    recommender = Recommender.load(bundle)
    users, items = recommender.bundle.users, recommender.bundle.items
    answer = recommender.recommend(
        user=None if user is None else users.parse(user),
        history=_ids(items, history),
        features=features,
        exclude=_ids(items, exclude),
        allow=_ids(items, allow),
        where=where,
        k=k,
        rules=None if rules is None else read_rules(rules),
        reasons=reasons,
    )
    for note in answer.notes:
        output.hint(note)
    if json:
        output.as_json(output.answer_to_json(recommender, answer, user=user, k=k))
        return
    output.say(f"route: {answer.route}")
    output.items(recommender, answer)


def _recommend_all(
    bundle: Path,
    everyone: bool,
    out: Path | None,
    k: int,
    exclude: str | None,
    allow: str | None,
    where: str | None,
    json: bool,
    alone: tuple[object, ...],
) -> None:
    from tastespace.serving.recommender import Recommender

    if not everyone or out is None:
        raise OptionError("--all and --out FILE belong together: recommendations for every user go to a file")
    if any(part is not None for part in alone):
        raise OptionError("--all asks for every user; leave --user, --history, --feature, --rules and --reasons out")
    from tastespace.serving.batch import recommend_all

    recommender = Recommender.load(bundle)
    items = recommender.bundle.items
    found = recommend_all(
        recommender,
        out,
        k=k,
        exclude=_ids(items, exclude),
        allow=_ids(items, allow),
        where=where,
    )
    if json:
        output.as_json({"file": str(found.file), "users": found.users, "rows": found.rows, "short": found.short})
        return
    output.say(f"{found.rows:,} rows for {found.users:,} users in {found.file}")
    if found.short:
        output.hint(f"{found.short:,} users got fewer than {k} items: no more were left for them")


def explain(
    bundle: Bundle,
    item: Annotated[str, typer.Argument(help="An item's id, or a title.", show_default=False)],
    user: User = None,
    history: History = None,
    feature: Feature = None,
    k: Annotated[int, typer.Option("--k", min=1, help="So many reasons as text, the strongest first.")] = 10,
    json: AsJson = False,
) -> None:
    """Say why an item is recommended, or not: what its score is made of.

    Example: tastespace explain models/films "Fargo" --user 42
    """
    from tastespace.serving.recommender import Recommender

    _check_history(history)
    recommender = Recommender.load(bundle)
    users, items = recommender.bundle.users, recommender.bundle.items
    found = recommender.explain(
        recommender.find_item(item),
        None if user is None else users.parse(user),
        history=_ids(items, history),
        features=parse_features(feature),
    )
    for note in found.notes:
        output.hint(note)
    if json:
        output.as_json(output.explanation_to_json(found))
        return
    output.explanation(recommender, found, k)


def similar_items(
    bundle: Bundle,
    item: Annotated[str, typer.Argument(help="An item's id, or a title.", show_default=False)],
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Items liked by the same taste as this one.

    Example: tastespace similar-items models/films "Toy Story"
    """
    from tastespace.serving.recommender import Recommender

    recommender = Recommender.load(bundle)
    identifier = recommender.find_item(item)
    answer = recommender.similar_items(identifier, k)
    if json:
        output.as_json(output.answer_to_json(recommender, answer, item=identifier, k=k))
        return
    output.say(f"like {recommender.label(identifier)}:")
    output.items(recommender, answer)


def similar_users(
    bundle: Bundle,
    user: Annotated[str, typer.Argument(help="A user's id.", show_default=False)],
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Users of the same taste as this one.

    Example: tastespace similar-users models/films 42
    """
    from tastespace.serving.recommender import Recommender

    recommender = Recommender.load(bundle)
    identifier = recommender.bundle.users.parse(user)
    answer = recommender.similar_users(identifier, k)
    pairs = list(zip(answer.items, answer.scores, strict=True))
    if json:
        output.as_json({"user": identifier, "k": k, "users": [{"user": u, "score": s} for u, s in pairs]})
        return
    output.table(["user", "cosine"], [[str(u), f"{s:.3f}"] for u, s in pairs])


def _check_history(text: str | None) -> None:
    if text is not None and not _listed(text):
        raise OptionError("--history names no item; leave it out to ask for anybody")


def _ids(vocabulary: "Vocabulary", text: str | None) -> list[Any] | None:
    """Ids with commas between; None where the option was left out."""
    return None if text is None else [vocabulary.parse(part) for part in _listed(text)]


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
