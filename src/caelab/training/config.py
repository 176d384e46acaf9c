"""Parts of a run's configuration that training reads, and their base class.

This module does not import PyTorch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from caelab.errors import alternatives
from caelab.registry import Registry

if TYPE_CHECKING:
    from caelab.degrade.degradation import Degradation
    from caelab.training.losses import LossConfig
    from caelab.training.optimizers import OptimizerConfig

Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number that is neither infinite nor NaN."""


class Table(BaseModel):
    """Base class of a configuration's tables: frozen; unknown names and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


EXPECTED = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "literal_error": "{expected}",
}
"""Description of an allowed value, for each type of error that pydantic reports."""


def reason(problem: Any) -> str:
    """Return in words why a value was refused, such as "should be at least 1".

    Args:
        problem: An entry of ``ValidationError.errors()``.
    """
    if expected := EXPECTED.get(problem["type"]):
        # Pydantic writes names in quotation marks, which other messages do not have.
        return f"should be {expected.format(**problem.get('ctx', {}))}".replace("'", "")
    return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input ")


@dataclass(frozen=True)
class KindName:
    """Annotation of a string field whose value must be a name in ``registry``."""

    registry: Registry[Any]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str) -> str:
        if name in self.registry:
            return name
        near = self.registry.closest(name)
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"should be {alternatives(self.registry)}{hint}")


class AugmentationConfig(Table):
    """Random changes of the training images; each epoch draws new changes."""

    flip: bool = Field(
        default=False, description="Mirror training images left to right half of the time."
    )
    translate: int = Field(
        default=0,
        ge=0,
        description="Largest shift of training images in each direction, in pixels.",
    )
    scale_jitter: Finite = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Largest change of size: 0.25 is a factor between 1/1.25 and 1.25.",
    )
    rotate: Finite = Field(
        default=0.0, ge=0, le=180, description="Largest rotation of training images, in degrees."
    )
    gamma_jitter: Finite = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Largest change of brightness: 0.25 raises values to a power between 1/1.25 and 1.25."
        ),
    )


class TrainingConfig(Protocol):
    """The fields of a run's configuration (``experiments.config.RunConfig``) that training reads.

    Attributes:
        epochs: Number of passes through the training images.
        batch_size: Number of images per step.
        degradation: Degradation that turns clean images into the network's input.
        augmentation: Random changes of the training images.
        loss: Loss that training minimizes.
        optimizer: Optimizer and learning rate.
        seed: Seed of the order of the images and of all other random numbers in training.
    """

    epochs: int
    batch_size: int
    degradation: "Degradation"
    augmentation: AugmentationConfig
    loss: "LossConfig"
    optimizer: "OptimizerConfig"
    seed: int
