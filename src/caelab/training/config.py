"""What a configuration holds for training, without PyTorch."""

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


class Table(BaseModel):
    """A table of the configuration: frozen, and strict about names and types."""

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
"""What a value should be, by the kind of problem that pydantic finds in it."""


def reason(problem: Any) -> str:
    """Return why a value was refused, from a problem of a ``ValidationError``."""
    if expected := EXPECTED.get(problem["type"]):
        # Without the quotation marks that pydantic writes around names.
        return f"should be {expected.format(**problem.get('ctx', {}))}".replace("'", "")
    return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input ")


@dataclass(frozen=True)
class KindName:
    """Annotation of a text that must be the name of a registered kind."""

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
    """Random changes of the training images, which differ in each epoch."""

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
    """What training needs of a run's configuration, ``experiments.config.RunConfig``.

    Attributes:
        epochs: Passes through the training images.
        batch_size: Images per step.
        degradation: What turns clean images into the network's input.
        augmentation: Random changes of the training images.
        loss: What is minimized.
        optimizer: Optimizer and learning rate.
        seed: Seed of the batch order and of all randomness in training.
    """

    epochs: int
    batch_size: int
    degradation: "Degradation"
    augmentation: AugmentationConfig
    loss: "LossConfig"
    optimizer: "OptimizerConfig"
    seed: int
