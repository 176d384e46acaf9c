"""SOAP, the default optimizer; small matrices are updated by compiled loops, where there is a C compiler."""

from caelab.training.soap.optimizer import SOAP

__all__ = ["SOAP"]
