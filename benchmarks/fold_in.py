"""What folding a history in loses against a trained row, on validation rows: results/fold_in.json.

    .venv/bin/python benchmarks/fold_in.py

Every user of the validation part is ranked twice: by the row that was trained, and by their history alone.
"""

import json
import time
from pathlib import Path

import tastespace as ts
from tastespace.data.queries import Queries
from tastespace.evaluation import Evaluator
from tastespace.models import fold_in

RESULTS = Path(__file__).parent / "results" / "fold_in.json"


def main() -> None:
    data = ts.load_dataset("ml-100k")
    found: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "seed": 0}
    for protocol in ("article", "random-811"):
        part = ts.split(data, protocol).for_validation()
        for ridge in (0.001, 0.01, 0.03, 0.1, 1.0):
            fold_in._RIDGE = ridge
            model = ts.train("mf", part).model
            evaluator = Evaluator(part)
            row = evaluator.report(model.scorer())
            folded = evaluator.report(lambda q, m=model: m.score(Queries.of_histories(q.history)))
            found[f"{protocol}, ridge {ridge}"] = {
                route: [round(report.mean("recall@10"), 4), round(report.mean("ndcg@10"), 4)]
                for route, report in (("trained row", row), ("history alone", folded))
            }
            print(protocol, ridge, found[f"{protocol}, ridge {ridge}"], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
