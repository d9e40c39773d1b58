"""Class names of known data sets, in the order of a classifier's outputs."""

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

_CLASS_NAMES = {"stl10": _STL10, "cifar20": _CIFAR20, "cifar100": _CIFAR100, "voc07": _VOC07}

_IMAGENET_CLASSES = 1000


def class_names(data: str | None, count: int) -> tuple[tuple[str, ...], str]:
    """The names of the classes of a classifier, and a sentence about their source.

    Args:
        data: Data set of the catalog entry. None if there is no entry.
        count: Number of outputs of the classifier.
    """
    if data in _CLASS_NAMES and len(names := _CLASS_NAMES[data].split()) == count:
        return tuple(name.replace("_", " ") for name in names), f"The class names are those of {data}."
    if data in (None, "imagenet") and count == _IMAGENET_CLASSES:
        from torchvision.models import ResNet50_Weights

        categories = tuple(ResNet50_Weights.DEFAULT.meta["categories"])
        return categories, "The class names are assumed to be those of ImageNet-1K in the usual order."
    return tuple(f"class {i}" for i in range(count)), "The class names are not in the file."
