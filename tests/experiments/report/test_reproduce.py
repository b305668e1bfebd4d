"""Command and code that reproduce a comparison."""

from typing import Any

from tastespace.experiments.report.page import render
from tests.experiments.report.examples import Parsed, closed_form, document, row


def test_command_and_code_have_the_first_seed() -> None:
    told = document(row("al pha", 0.3, seeds=[7, 8], options={"seed": 8, "epochs": 3}), closed_form("popularity", 0.1))
    text = Parsed(render([told])).text
    command = (
        "tastespace compare --data films --protocol article --models 'al pha' --seeds 2 --k 10 --set 'al pha.seed=7'"
    )
    assert command in text
    page = render([told])
    python = Parsed(
        page[page.index("import tastespace as ts") : page.index("</code>", page.index("import tastespace"))]
    )
    seen: dict[str, Any] = {}
    code = "".join(python.words).replace("import tastespace as ts", "")

    class Package:
        @staticmethod
        def open_data(name: str) -> str:
            return name

        @staticmethod
        def split(data: str, protocol: str) -> tuple[str, str]:
            return data, protocol

        @staticmethod
        def compare(names: list[str], split: object, **more: Any) -> None:
            seen.update(more, names=names, split=split)

    exec(code, {"ts": Package})  # noqa: S102
    assert seen["split"] == ("films", "article")
    assert (seen["names"], seen["seeds"], seen["k"]) == (["al pha"], 2, 10)
    assert seen["settings"]["al pha"] == {"dim": 16, "seed": 7, "epochs": 3}


def test_the_command_of_a_ready_split_has_its_two_files() -> None:
    text = Parsed(render([document(protocol="ready")])).text
    assert "tastespace compare --train FILE --test FILE --models alpha,beta" in text
