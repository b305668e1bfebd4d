"""The command that searches the options of a model."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.data.read_options import ReadOptions
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.experiments.tuning.result import Trial, Tuning

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@o.with_read_options
def tune(
    data: o.Data = None,
    model: Annotated[str, typer.Option(help="Name of the model; `tastespace models` lists them.")] = "mf",
    protocol: o.Protocol = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Trials that the study holds at the end, earlier runs included. Default: 30, no limit with --budget.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after 90s, 10m or 2h.", show_default=False)
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="Comma-separated options to search, the others keep their defaults.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Option to fix; repeatable.", show_default=False),
    ] = None,
    metric: Annotated[str, typer.Option(help="Validation metric to maximise.")] = "ndcg@10",
    seed: Annotated[int, typer.Option(help="Seed of the search.", min=0)] = 0,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="SQLite file of the trials; the same command goes on from there, and several processes may share it. "
            "Default: studies/MODEL.db.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the best options, for `train --config FILE`.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with plots too.", show_default=False)
    ] = None,
    train_file: o.TrainFile = None,
    test_file: o.TestFile = None,
    reading: ReadOptions = o.READING,
    json: o.AsJson = False,
) -> None:
    """Search the options of a model on validation rows.

    The first trial has the defaults; test rows are never used. Without --protocol a tenth of each user's positives
    are the validation rows. An interruption loses the trial in hand alone.

    Example: tastespace tune --data ml-100k --model mf --protocol article --budget 10m --out mf.toml --html mf.html
    """
    from tastespace.experiments.report import check_can_write_page
    from tastespace.experiments.tuning import check_can_tune

    check_can_tune()
    from tastespace.experiments.tuning.tuner import Tuner

    seconds = None if budget is None else parse_duration(budget)
    for file in (out, html):
        if file is not None:
            o.check_can_write_file(file)
    if html is not None:
        check_can_write_page()
    file = Path("studies") / f"{model}.db" if study is None else study
    fixed = o.parse_settings(settings)
    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    split = o.open_split(protocol, data, train_file, test_file, reading)
    tuner = Tuner.open(model, split, only=names, settings=fixed, metric=metric, seed=seed, study=file)
    if not json:
        output.say(split.describe())
        output.say(f"searched: {', '.join(map(str, tuner.space.domains.values()))}")
        output.say(f"study: {file}, {len(tuner.study.trials())} trials so far")
    interrupted = False
    try:
        tuner.run(trials=trials, budget=seconds, on_trial=None if json else lambda trial: _show_trial(trial, metric))
    except KeyboardInterrupt:
        interrupted = True
    tuning = tuner.result()
    _write(tuning, out, html)
    if json:
        output.as_json({**tuning.to_json(), "study": str(file)})
    else:
        _show(tuning)
        if tuning.best is not None:
            _show_next(tuning, data, protocol, out)
    if interrupted:
        raise KeyboardInterrupt(f"interrupted; the same command goes on from the {len(tuning.trials)} trials in {file}")


def parse_duration(text: str) -> float:
    """Seconds of a duration such as "90s", "10m" or "2h"."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])", text.strip(), flags=re.ASCII)
    if found is None or float(found[1]) == 0:
        raise OptionError(f"--budget {text!r} is no duration; 90s, 10m or 2h is expected")
    return float(found[1]) * _SECONDS[found[2]]


def _write(tuning: "Tuning", out: Path | None, html: Path | None) -> None:
    from tastespace.training.config_file import ModelConfig, write_config

    if out is not None and tuning.best is not None:
        write_config(out, ModelConfig(tuning.model, tuning.settings), comment=tuning.describe())
    if html is not None:
        from tastespace.experiments.report import write_tuning_page

        write_tuning_page(html, tuning)


def _show_trial(trial: "Trial", metric: str) -> None:
    if trial.state == "failed":
        output.say(f"trial {trial.number}: failed after {trial.seconds:.1f} s: {trial.error}")
        return
    ended = f", stopped early after {trial.epochs} epochs" if trial.state == "stopped early" else ""
    value = "no value" if trial.value is None else f"{metric} {trial.value:.4f}"
    what = ", the defaults" if trial.is_default else ""
    output.say(f"trial {trial.number}: {value}, {trial.seconds:.1f} s{ended}{what}")


def _show(tuning: "Tuning") -> None:
    output.say()
    output.say(tuning.describe())
    best = tuning.best
    if best is not None:
        output.table(
            ["option", "default", "best", "importance"],
            [
                [
                    name,
                    _short(tuning.default_values[name]),
                    _text(best.settings[name]) if name in best.settings else "default" if best.is_default else "-",
                    f"{tuning.importance[name]:.0%}" if name in tuning.importance else "-",
                ]
                for name in sorted(tuning.searched, key=lambda name: -tuning.importance.get(name, 0.0))
            ],
        )
        if not tuning.importance:
            output.say("importance needs 10 trials")
        output.say()
        output.say("quality against training time, trials that no other equals in less time:")
        output.table(
            ["options", tuning.metric, "seconds", "trial"],
            [
                [
                    "the defaults" if trial.is_default else _settings(trial.settings),
                    f"{trial.value:.4f}",
                    f"{trial.seconds:.1f}",
                    str(trial.number),
                ]
                for trial in tuning.front()
            ],
        )
    for trial in tuning.failed:
        output.hint(f"trial {trial.number} ({_settings(trial.settings) or 'the defaults'}) failed: {trial.error}")


def _show_next(tuning: "Tuning", data: str | None, protocol: str | None, out: Path | None) -> None:
    words = ["tastespace", "train", *(["--data", data] if data else ["--train", "FILE", "--test", "FILE"])]
    words += ["--protocol", protocol] if protocol else []
    if out is not None:
        words += ["--config", str(out)]
    else:
        words += ["--model", tuning.model]
        words += [word for name, value in tuning.settings.items() for word in ("--set", f"{name}={_text(value)}")]
    output.say(f"next: {shlex.join(words)}")


def _settings(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in settings.items())


def _short(value: Any) -> str:
    """A value that a rule computed, for a table; commands get all its digits."""
    return f"{value:.6g}" if isinstance(value, float) else _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
