"""Commands that answer: recommend, explain, similar-items, similar-users."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastespace.cli import output
from tastespace.cli.options import AsJson, K, parse_features
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.data.vocabulary import Vocabulary

Bundle = Annotated[Path, typer.Argument(help="Directory of a saved model.", show_default=False)]
User = Annotated[str | None, typer.Option(help="Id of a user.", show_default=False)]
History = Annotated[str | None, typer.Option(help="Comma-separated item ids, oldest first.", show_default=False)]
Feature = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Attribute of the user; repeatable.", show_default=False),
]


def recommend(
    bundle: Bundle,
    user: User = None,
    history: History = None,
    feature: Feature = None,
    exclude: Annotated[
        str | None, typer.Option(help="Comma-separated item ids to exclude.", show_default=False)
    ] = None,
    allow: Annotated[
        str | None, typer.Option(help="Comma-separated item ids to choose from.", show_default=False)
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Condition on item attributes, such as \"genres = 'Comedy' and year >= 1990\".",
            show_default=False,
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="For every user, written to the file --out.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --all: a .parquet, .csv or .jsonl file.", show_default=False)
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="YAML file of rules.", show_default=False)] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Show for each item the strongest reasons.")] = False,
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Recommend items for a user, a history, attributes, or nobody in particular; with --all for every user.

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
    item: Annotated[str, typer.Argument(help="Id or title of an item.", show_default=False)],
    user: User = None,
    history: History = None,
    feature: Feature = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Number of reasons, the strongest first.")] = 10,
    json: AsJson = False,
) -> None:
    """Explain the score of an item: the contributions that it is the sum of.

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
        baselines = recommender.baselines
        compared = None if baselines is None else baselines.to_json()
        output.as_json({**output.explanation_to_json(found), "baselines": compared})
        return
    output.explanation(recommender, found, k)
    output.baselines(recommender.baselines)


def similar_items(
    bundle: Bundle,
    item: Annotated[str, typer.Argument(help="Id or title of an item.", show_default=False)],
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Most similar items: cosine of embeddings, shrunk for items that few users like.

    Example: tastespace similar-items models/films "Toy Story"
    """
    from tastespace.serving.recommender import Recommender

    recommender = Recommender.load(bundle)
    identifier = recommender.find_item(item)
    answer = recommender.similar_items(identifier, k)
    if json:
        output.as_json(output.answer_to_json(recommender, answer, item=identifier, k=k))
        return
    output.say(f"most similar to {recommender.label(identifier)}:")
    output.items(recommender, answer)


def similar_users(
    bundle: Bundle,
    user: Annotated[str, typer.Argument(help="Id of a user.", show_default=False)],
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Most similar users, by cosine of their embeddings.

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
