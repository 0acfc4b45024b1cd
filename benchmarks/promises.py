"""What is promised of new images, measured on new images: error, share answered, coverage, false alarms.

Half of each class is indexed and fitted, the other half is classified as strangers' pictures would be.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from benchmarks.figures import figure, title
from benchmarks.inspection import INSPECT, DataSet, data_sets
from lookalike.classification.classifier import Classified
from lookalike.database import Database

# The least that 1,000 and 674 held-out answers can promise, rounded up.
ERRORS = {"textile": 0.02, "extrusion": 0.15}
COVERAGE = 0.95
FALSE_ALARM = 0.01


def halves(data: DataSet, root: Path) -> list[tuple[Path, str]]:
    """Link one half of each class below `root`; return the other half with its labels."""
    rng = np.random.default_rng(0)
    asked = []
    for name in data.classes:
        (root / name).mkdir(parents=True)
        files = sorted((data.root / name).resolve().iterdir())
        order = rng.permutation(len(files))
        for place in order[::2]:
            (root / name / files[place].name).symlink_to(files[place])
        asked += [(files[place], name) for place in order[1::2]]
    return asked


def measure(data: DataSet, cache: Path, folder: Path) -> None:
    asked = halves(data, folder / data.name)
    allowed = ERRORS[data.name]
    with Database(f"sqlite:///{folder}/{data.name}.db", cache=cache) as database:
        database[data.name].index([folder / data.name], model=INSPECT)
        database[data.name].fit("label")
        answers = database[data.name].classify(
            [path for path, _ in asked], "label", k=5, max_error=allowed, coverage=COVERAGE,
            false_alarm=FALSE_ALARM,
        )  # fmt: skip
        pairs = [
            (answer.prediction, label)
            for answer, (_, label) in zip(answers, asked, strict=True)
            if isinstance(answer, Classified)
        ]
    title(f"{data.name}: {len(pairs)} new images, judged by the other half, three classes")
    raw = np.mean([prediction.votes[0][0] != label for prediction, label in pairs])
    figure("error if everything is answered", f"{raw:.4f}")
    given = [(prediction.label, label) for prediction, label in pairs if prediction.label is not None]
    wrong = float(np.mean([said != label for said, label in given]))
    figure(
        f"error of those answered, --max-error {allowed:g}",
        f"{wrong:.4f}",
        f"at most {allowed:g}",
        wrong <= allowed,
    )
    figure("share answered", f"{len(given) / len(pairs):.3f}")
    for name in data.classes:
        own = [label in (prediction.label_set or ()) for prediction, label in pairs if label == name]
        figure(f"coverage of {name}, --coverage {COVERAGE:g}", f"{np.mean(own):.3f}", f"about {COVERAGE:g}")
    sizes = np.mean([len(prediction.label_set or ()) for prediction, _ in pairs])
    figure("labels in a set, mean", f"{sizes:.2f}")
    alarms = np.mean([(prediction.p_value or 1) <= FALSE_ALARM for prediction, _ in pairs])
    figure(
        f"called unlike anything, --false-alarm {FALSE_ALARM:g}", f"{alarms:.4f}", f"about {FALSE_ALARM:g}"
    )


def main() -> None:
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    with tempfile.TemporaryDirectory() as folder:
        for data in data_sets():
            measure(data, cache, Path(folder))


if __name__ == "__main__":
    main()
