"""`ResourceConfiguration`: what a registered model's author thinks that it needs."""

from __future__ import annotations

from typing import Any

from pipeline.azureml.exceptions import UserErrorException


class ResourceConfiguration:
    """Processors, memory in GB and graphics processors. Azure ML read it where a model was deployed without code; a
    service of one's own code gets what its deployment configuration says. UserErrorException for what is not above 0.
    """

    def __init__(self, cpu: float | None = None, memory_in_gb: float | None = None, gpu: int | None = None) -> None:
        self.cpu, self.memory_in_gb, self.gpu = cpu, memory_in_gb, gpu
        for name, value in (("cpu", cpu), ("memory_in_gb", memory_in_gb), ("gpu", gpu)):
            if value is not None and value <= 0:
                raise UserErrorException(f"{name} is {value}", remedy="more than 0")

    def serialize(self) -> dict[str, Any]:
        """As the SDK writes it."""
        return {"cpu": self.cpu, "memoryInGB": self.memory_in_gb, "gpu": self.gpu}
