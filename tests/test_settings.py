from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from pellucid.errors import UserError
from pellucid.experiments.comparison import at_values, build_comparison
from pellucid.models import DecoderConfig, EncoderConfig, ModelConfig
from pellucid.objectives import ObjectiveConfig
from pellucid.recipe import RECIPES, DataConfig
from pellucid.training import TrainingConfig

CLASSES = (DataConfig, DecoderConfig, EncoderConfig, ModelConfig, ObjectiveConfig, TrainingConfig)

CHOICES = [
    (settings, field.name)
    for settings in CLASSES
    for field in fields(settings)
    if get_origin(get_type_hints(settings)[field.name]) is Literal
]


def test_the_choices_of_every_part_of_a_recipe_are_tested():
    assert {name for _, name in CHOICES} >= {
        "architecture",
        "tasks",
        "stem",
        "last_stage",
        "restoration",
        "teacher_sees",
        "optimizer",
        "schedule",
        "precision",
    }


@pytest.mark.parametrize(("settings", "name"), CHOICES)
def test_a_misspelt_choice_is_one_sentence_with_the_choices(settings, name):
    choices = get_args(get_type_hints(settings)[name])
    with pytest.raises(UserError, match=f"Expected {name} among .*{choices[-1]}, found 'misspelt'; choose one of these"):
        settings(**{name: "misspelt"})


@pytest.mark.parametrize(
    ("settings", "name", "value", "sentence"),
    [
        (TrainingConfig, "epochs", 0, "above 0, found 0"),
        (TrainingConfig, "epochs", float("nan"), "above 0, found nan"),
        (TrainingConfig, "epochs", float("inf"), "above 0, found inf"),
        (TrainingConfig, "batch_size", 1.5, "as a whole number, found 1.5"),
        (TrainingConfig, "batch_size", True, "as a whole number, found True"),
        (TrainingConfig, "compile", 1, "as true or false, found 1"),
        (TrainingConfig, "learning_rate", "fast", "as a number, found 'fast'"),
        (TrainingConfig, "fallback_learning_rate", -0.1, "above 0, found -0.1"),
        (TrainingConfig, "warmup", 1.0, r"in \[0, 1\), found 1.0"),
        (TrainingConfig, "start", 3, "as text, found 3"),
        (EncoderConfig, "widths", (16, 0), r"of at least 1, found \(16, 0\)"),
        (EncoderConfig, "widths", (16.5, 32), "as a list, a whole number for each"),
        (EncoderConfig, "widths", (), "as a list"),
        (EncoderConfig, "depths", 2, "as a list"),
        (ObjectiveConfig, "label_smoothing", 1.0, r"in \[0, 1\)"),
        (DataConfig, "labelled_share", 0.0, r"in \(0, 1\], found 0.0"),
        (DataConfig, "dataset", None, "as text, found None"),
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_one_sentence(settings, name, value, sentence):
    with pytest.raises(UserError, match=f"Expected {name} {sentence}"):
        settings(**{name: value})


def test_a_value_in_place_of_settings_is_one_sentence():
    with pytest.raises(UserError, match="Expected settings by their names under encoder, such as name, found 'resnet50'"):
        ModelConfig(encoder="resnet50")


def test_whole_numbers_are_numbers_and_what_may_be_left_out_is_none():
    assert TrainingConfig(epochs=2, fallback_learning_rate=None).epochs == 2


def test_a_comparison_does_not_vary_a_setting_to_a_value_that_it_cannot_take():
    with pytest.raises(UserError, match="Expected last_stage among shared, read, found 'privat'"):
        at_values(build_comparison("reference", RECIPES["base"]), "model.decoder.last_stage", ["shared", "privat"])
