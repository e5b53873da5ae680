"""Fits the quickstart's model and writes model.json beside this file: `python models/diabetes/train.py`.

Ridge regression on scikit-learn's diabetes data (442 patients; Efron et al., "Least Angle Regression", 2004): ten
measurements at the start of a year, and a measure of how far the disease went in it (25 to 346). A fourth of the
patients is held out: the model never sees them, and its errors on them are what model.json reports.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

FILE = Path(__file__).with_name("model.json")
SEED = 0
DIGITS = 9
"""Significant digits kept: far beyond the model's accuracy, and fewer than differ between two processors."""


def split() -> tuple[Any, Any, Any, Any]:
    """Measurements to fit on and held out, answers to fit on and held out."""
    data = load_diabetes(scaled=False)
    return tuple(train_test_split(data.data, data.target, test_size=0.25, random_state=SEED))  # type: ignore[return-value]


def train() -> dict[str, Any]:
    """The model as plain JSON: the fitted numbers, what they belong to, and how they did on the patients held out."""
    seen, unseen, answers, truth = split()
    scaler = StandardScaler().fit(seen)
    # The penalty is chosen by leave-one-out cross-validation among the patients that are not held out.
    ridge = RidgeCV(alphas=np.logspace(-2, 3, 26)).fit(scaler.transform(seen), answers)
    predicted = ridge.predict(scaler.transform(unseen))
    return {
        "what": "disease progression one year after the measurements (diabetes data set of scikit-learn)",
        "made_by": f"models/diabetes/train.py with scikit-learn {sklearn.__version__}",
        "features": list(load_diabetes(scaled=False).feature_names),
        "scaler": {"mean": _plain(scaler.mean_), "scale": _plain(scaler.scale_)},
        "ridge": {
            "alpha": _plain(ridge.alpha_),
            "coefficients": _plain(ridge.coef_),
            "intercept": _plain(ridge.intercept_),
        },
        "held_out": {
            "patients": len(truth),
            "mean_absolute_error": round(float(mean_absolute_error(truth, predicted)), 2),
            "mean_absolute_error_of_the_mean": round(float(np.abs(truth - answers.mean()).mean()), 2),
            "r2": round(float(r2_score(truth, predicted)), 3),
        },
    }


def _plain(values: Any) -> Any:
    """Numbers of numpy as numbers of JSON, rounded to significant digits."""
    if np.ndim(values):
        return [_plain(value) for value in values]
    return float(f"{float(values):.{DIGITS}g}")


def dump(model: dict[str, Any]) -> str:
    return json.dumps(model, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(dump(train()), encoding="utf-8")
    print(f"wrote {FILE.name}: {json.loads(FILE.read_text(encoding='utf-8'))['held_out']}")
