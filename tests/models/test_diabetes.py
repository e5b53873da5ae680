"""The quickstart's model: the file in the repository is what its script makes, and it is better than guessing."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install -r models/diabetes/requirements.txt)")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "models" / "diabetes"
PATIENT = [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"quickstart_{path.stem}", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


training = module(FOLDER / "train.py")
serving = module(ROOT / "manifests" / "quickstart" / "diabetes.py")


@pytest.fixture(scope="module")
def model() -> Any:
    return serving.Model.load(FOLDER)


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for entry in value.values() for number in numbers(entry)]
    if isinstance(value, list):
        return [number for entry in value for number in numbers(entry)]
    return [value] if isinstance(value, int | float) else []


def test_the_committed_model_is_what_the_script_makes() -> None:
    committed, made = json.loads((FOLDER / "model.json").read_text()), training.train()
    assert committed["features"] == made["features"]
    # Linear algebra differs in its last digits between processors.
    assert numbers(committed) == pytest.approx(numbers(made), rel=1e-6)


def test_it_was_made_by_the_version_that_is_pinned() -> None:
    pinned = re.search(r"^scikit-learn==(\S+)$", (FOLDER / "requirements.txt").read_text(), re.M)
    assert pinned
    assert json.loads((FOLDER / "model.json").read_text())["made_by"].endswith(f"scikit-learn {pinned[1]}")


def test_held_out_patients_are_predicted_a_fifth_better_than_by_the_mean(model: Any) -> None:
    _, unseen, answers, truth = training.split()
    predicted = model.predict(unseen.tolist())
    error = sum(abs(p - t) for p, t in zip(predicted, truth, strict=True)) / len(truth)
    of_the_mean = sum(abs(answers.mean() - t) for t in truth) / len(truth)
    assert error < 0.8 * of_the_mean


def test_the_figures_in_the_file_are_those_of_the_model_as_it_is_served(model: Any) -> None:
    _, unseen, answers, truth = training.split()
    stated = json.loads((FOLDER / "model.json").read_text())["held_out"]
    errors = [abs(p - t) for p, t in zip(model.predict(unseen.tolist()), truth, strict=True)]
    assert stated["patients"] == len(truth)
    assert stated["mean_absolute_error"] == pytest.approx(sum(errors) / len(errors), abs=0.01)
    assert stated["mean_absolute_error_of_the_mean"] == pytest.approx(abs(truth - answers.mean()).mean(), abs=0.01)


def test_a_model_read_from_the_file_predicts_as_the_fitted_one(model: Any) -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen, unseen, answers, _ = training.split()
    fitted = make_pipeline(StandardScaler(), Ridge(alpha=model.estimator[-1].alpha)).fit(seen, answers)
    assert model.predict(unseen.tolist()) == pytest.approx(list(fitted.predict(unseen)), abs=0.01)


def test_rows_are_scored_in_their_order(model: Any) -> None:
    other = [40, 1, 22.0, 80, 180, 110, 60, 3, 4.2, 85]
    assert model.predict([PATIENT, other]) == [*model.predict([PATIENT]), *model.predict([other])]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "'data' must be a list of rows"),
        ([], "'data' must be a list of rows"),
        ({"age": 59}, "'data' must be a list of rows"),
        ([PATIENT, 3], r"data\[1\] has no list"),
        ([PATIENT[:9]], r"data\[0\] has 9 values; expected 10: age, sex"),
        ([[*PATIENT[:9], "87"]], r'data\[0\]: s6 is "87", not a finite number'),
        ([[None, *PATIENT[1:]]], r"data\[0\]: age is null"),
        ([[True, *PATIENT[1:]]], r"data\[0\]: age is true"),
        ([[float("nan"), *PATIENT[1:]]], r"data\[0\]: age is NaN"),
        ([[10**400, *PATIENT[1:]]], r"data\[0\]: age is 1000"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_reason(model: Any, rows: Any, message: str) -> None:
    with pytest.raises(serving.BadRequest, match=message):
        model.predict(rows)
