"""Names of the classes that the public datasets use, in the order of their ids (from 1).

An annotation file's own names win; these serve where there is no such file, such as drawing with
a published checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence


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

COCO = tuple(
    name.replace("_", " ")
    for name in _names(
        """
        person bicycle car motorcycle airplane bus train truck boat traffic_light
        fire_hydrant stop_sign parking_meter bench bird cat dog horse sheep cow
        elephant bear zebra giraffe backpack umbrella handbag tie suitcase frisbee
        skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard
        tennis_racket bottle wine_glass cup fork knife spoon bowl banana apple sandwich orange
        broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed dining_table toilet
        tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator book
        clock vase scissors teddy_bear hair_drier toothbrush
        """
    )
)

SYNONYMS = (
    {"sedan", "car", "vehical", "vehicle"},
    {"motorbike", "motorcycle"},
    {"flying_disc", "frisbee"},
)
"""Names, as :func:`name_key` gives them, of one class in different public datasets."""

OF_COCO_ALONE = {"mouse"}
"""COCO's is a device, YouTube-VIS's an animal."""

PUBLIC_DATASETS: dict[str, tuple[str, ...]] = {
    "COCO": COCO,
    "YouTube-VIS 2019": YOUTUBE_VIS_2019,
    "YouTube-VIS 2021": YOUTUBE_VIS_2021,
    "OVIS": OVIS,
}


def public_name(names: Sequence[str]) -> str | None:
    """Which public dataset has exactly these class names in this order, if any.

    Example:
        >>> public_name(list(OVIS))
        'OVIS'
    """
    for dataset, classes in PUBLIC_DATASETS.items():
        if tuple(names) == classes:
            return dataset
    return None


def name_key(name: str) -> str:
    """Names that differ in letters' case, or in how words are joined, are one."""
    return name.casefold().replace(" ", "_").replace("-", "_")


def same_classes(ours: Sequence[str], theirs: Sequence[str]) -> dict[int, int]:
    """Place in ``ours`` to the place in ``theirs`` of the same class, for those that both have.

    The same name decides, then a synonym of the public datasets.

    Example:
        >>> same_classes(["sedan", "ape", "mouse", "tennis_racket"], COCO)
        {0: 2, 3: 38}
    """
    places = {name_key(name): place for place, name in reversed(list(enumerate(theirs)))}
    one_is_coco = (tuple(ours) == COCO) != (tuple(theirs) == COCO)
    found: dict[int, int] = {}
    for place, key in enumerate(map(name_key, ours)):
        if one_is_coco and key in OF_COCO_ALONE:
            continue
        synonyms = (sorted(group) for group in SYNONYMS if key in group)
        for candidate in (key, *(other for group in synonyms for other in group)):
            if candidate in places:
                found[place] = places[candidate]
                break
    return found
