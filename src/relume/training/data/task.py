"""What is predicted: a class or a number."""

from enum import StrEnum


class Task(StrEnum):
    """What is predicted."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
