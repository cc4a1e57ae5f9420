import pytest
import tyro

from firsthand_training.experiments.flags import flags
from firsthand_training.experiments.methods import METHODS, SIZES, find_method
from firsthand_training.training.command import Train


def parsed(recipe):
    return tyro.cli(Train, args=["--episodes", "a", "--output", "b", *flags(recipe)])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", METHODS)
def test_every_recipe_can_be_typed(name, size):
    recipe = find_method(name, size)
    command = parsed(recipe)
    assert command.settings == recipe.train
    assert command.cache == recipe.cache


def test_what_is_as_usual_is_not_said():
    assert flags(find_method("ours")) == ("method:world-model",)
