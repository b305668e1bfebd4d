"""The command `demo`: from a public log to recommendations in a minute."""

import time
from pathlib import Path
from typing import Annotated

import typer

from tastespace.cli import output

_USER = 42
_FILMS = ("Toy Story", "Star Wars")


def demo(
    out: Annotated[Path, typer.Option(help="Directory to save the model to.")] = Path("models/films"),
) -> None:
    """Fetch films, train, compare, recommend.

    Example: tastespace demo
    """
    from tastespace.data.sources import fetch, load_dataset
    from tastespace.data.split import split, whole
    from tastespace.experiments.comparison import compare
    from tastespace.serving.recommender import Recommender
    from tastespace.training.fit import fit

    started = time.perf_counter()
    found = fetch("ml-100k")
    for line in found.unavailable:
        output.hint(f"unavailable: {line}; using {found.served_by} instead")
    output.say(f"MovieLens 100K served by {found.served_by}, checksum verified, cached in {found.folder}")
    dataset = load_dataset("ml-100k")
    log = dataset.interactions
    liked = len(log.positives())
    output.say(f"{log.n_users} users, {log.n_items} films, {len(log):,} ratings, {liked:,} of them 4 stars or more\n")

    output.say("How good is it? A random fifth of the likes is held out as the test set:")
    output.comparison(compare(["mf"], split(dataset, "article")))

    output.say("\nTrain on every rating, for recommendations:")
    fitted = fit("mf", whole(dataset), on_forecast=lambda forecast: output.say(f"mf: {forecast}"))
    recommender = Recommender.build(fitted, out, force=True)
    output.say(f"trained in {fitted.seconds:.1f} s, {fitted.best_epoch} epochs")

    output.say(f"\nTen films for user {_USER}, who rated {int((log.user == log.users.index_of([_USER])[0]).sum())}:")
    output.items(recommender, recommender.recommend(user=_USER, k=10))
    similar = recommender.similar_users(_USER, k=5)
    text = ", ".join(f"{user} ({score:.2f})" for user, score in zip(similar.items, similar.scores, strict=True))
    output.say(f"\nMost similar users: {text}")
    for film in _FILMS:
        identifier = recommender.find_item(film)
        output.say(f"\nMost similar to {recommender.label(identifier)}:")
        output.items(recommender, recommender.similar_items(identifier, k=5))

    output.say(f"\nDone in {time.perf_counter() - started:.1f} s. Model saved to {out}. Try next:")
    output.say(f'  tastespace similar-items {out} "Fargo"')
    output.say(f"  tastespace recommend {out} --history 50,172,181")
    output.say("  tastespace compare --data ml-100k --protocol leave-last-out --models mf,spectral")
