"""Names of the classes that the public datasets use, in the order of their ids (from 1).

An annotation file's own names win; these serve where there is no such file, such as drawing with
a published checkpoint.
"""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


YOUTUBE_VIS_2019 = _names(
    """
    person giant_panda lizard parrot skateboard sedan ape dog snake monkey
    hand rabbit duck cat cow fish train horse turtle bear
    motorbike giraffe leopard fox deer owl surfboard airplane truck zebra
    tiger elephant snowboard boat shark mouse frog eagle earless_seal tennis_racket
    """
)

YOUTUBE_VIS_2021 = _names(
    """
    airplane bear bird boat car cat cow deer dog duck
    earless_seal elephant fish flying_disc fox frog giant_panda giraffe horse leopard
    lizard monkey motorbike mouse parrot person rabbit shark skateboard snake
    snowboard squirrel surfboard tennis_racket tiger train truck turtle whale zebra
    """
)

OVIS = _names(
    """
    Person Bird Cat Dog Horse Sheep Cow Elephant Bear Zebra
    Giraffe Poultry Giant_panda Lizard Parrot Monkey Rabbit Tiger Fish Turtle
    Bicycle Motorcycle Airplane Boat Vehical
    """  # "Vehical": as the annotation files spell it
)

PUBLIC_DATASETS: dict[str, tuple[str, ...]] = {
    "YouTube-VIS 2019": YOUTUBE_VIS_2019,
    "YouTube-VIS 2021": YOUTUBE_VIS_2021,
    "OVIS": OVIS,
}


def public_name(names: list[str]) -> str | None:
    """Which public dataset has exactly these class names in this order, if any.

    Example:
        >>> public_name(list(OVIS))
        'OVIS'
    """
    for dataset, classes in PUBLIC_DATASETS.items():
        if tuple(names) == classes:
            return dataset
    return None
