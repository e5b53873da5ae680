"""The quickstart's entry script: the server calls init() once, and run() for each request to /score."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from azureml_inference_server_http.api.aml_response import AMLResponse
from diabetes import BadRequest, Model
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

PATIENT = [59.0, 2.0, 32.1, 101.0, 157.0, 93.2, 38.0, 4.0, 4.8598, 87.0]

model: Model


def init() -> None:
    """Reads the model from the folder that AZUREML_MODEL_DIR names."""
    global model
    model = Model.load(Path(os.environ["AZUREML_MODEL_DIR"]))


# The schemas describe the service at /swagger.json; what comes in is checked by the model, whose messages say more.
@input_schema("data", StandardPythonParameterType([PATIENT]), convert_to_provided_type=False)
@output_schema(StandardPythonParameterType({"predictions": [207.963]}))
def run(data: Any) -> Any:
    """The body of the request is {"data": [[age, sex, bmi, bp, s1, s2, s3, s4, s5, s6], ...]}."""
    try:
        return {"predictions": model.predict(data)}
    except BadRequest as error:
        return AMLResponse({"message": str(error)}, 400, json_str=True)
