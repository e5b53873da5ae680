"""The quickstart's model: reads model.json into scikit-learn's estimators, checks what is asked, and predicts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


class BadRequest(ValueError):
    """What the caller sent cannot be scored; the message says why, and goes back to the caller."""


class Model:
    """Predicts the progression of diabetes from rows of `features`."""

    def __init__(self, features: Sequence[str], estimator: Pipeline) -> None:
        self.features = tuple(features)
        self.estimator = estimator

    @staticmethod
    def load(folder: Path) -> Model:
        """The model of `folder`/model.json.

        JSON and not pickle: its numbers can be read in a review, loading it runs no code, and it outlives the version
        of scikit-learn that made it.
        """
        data = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        scaler = StandardScaler()
        scaler.mean_ = np.array(data["scaler"]["mean"])
        scaler.scale_ = np.array(data["scaler"]["scale"])
        scaler.var_ = scaler.scale_**2
        ridge = Ridge(alpha=data["ridge"]["alpha"])
        ridge.coef_ = np.array(data["ridge"]["coefficients"])
        ridge.intercept_ = data["ridge"]["intercept"]
        scaler.n_features_in_ = ridge.n_features_in_ = len(data["features"])
        return Model(data["features"], make_pipeline(scaler, ridge))

    def predict(self, rows: Any) -> list[float]:
        """One number for each row; raises BadRequest for rows that are not lists of as many numbers as features."""
        return [round(float(value), 3) for value in self.estimator.predict(np.array(self._checked(rows), dtype=float))]

    def _checked(self, rows: Any) -> list[list[float]]:
        if not isinstance(rows, list) or not rows:
            raise BadRequest(f"'data' must be a list of rows; a row is a list of {len(self.features)} numbers")
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(self.features):
                got = f"{len(row)} values" if isinstance(row, list) else "no list"
                raise BadRequest(f"data[{number}] has {got}; expected {len(self.features)}: {', '.join(self.features)}")
            for name, value in zip(self.features, row, strict=True):
                if not _is_number(value):
                    raise BadRequest(f"data[{number}]: {name} is {json.dumps(value)[:40]}, not a finite number")
        return rows


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
