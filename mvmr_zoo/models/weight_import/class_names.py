"""Names of the classes that a classifier of a known data set tells apart, in the order of its outputs."""

from __future__ import annotations

_STL10 = "airplane bird car cat deer dog horse monkey ship truck"

_CIFAR20 = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""

_VOC07 = """
aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa
train tvmonitor
"""

_NAMED = {"stl10": _STL10, "cifar20": _CIFAR20, "cifar100": _CIFAR100, "voc07": _VOC07}

_IMAGENET_CLASSES = 1000


def class_names(data: str | None, count: int) -> tuple[tuple[str, ...], str]:
    """Names of `count` classes, and where they come from.

    Args:
        data: the data set, where the catalog names it.
        count: outputs of the classifier.
    """
    if data in _NAMED and len(names := _NAMED[data].split()) == count:
        return tuple(name.replace("_", " ") for name in names), f"{data}'s classes"
    if data in (None, "imagenet") and count == _IMAGENET_CLASSES:
        from torchvision.models import ResNet50_Weights

        return tuple(ResNet50_Weights.DEFAULT.meta["categories"]), "taken to be ImageNet-1K's, in its usual order"
    return tuple(f"class {i}" for i in range(count)), "their names are not in the file"
