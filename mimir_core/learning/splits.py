"""The names of the splits of a data set."""

from enum import StrEnum


class Split(StrEnum):
    """What a chat is for."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"
