"""Recipes: every file loads, every network has one, and typos are errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from respectra.errors import ConfigError, FormatError
from respectra.methods import Contract, get_card, get_network, list_methods
from respectra.training import (
    ClassicalRecipe,
    Recipe,
    change_recipe,
    list_recipes,
    load_recipe,
    save_recipe,
)

#: Recipes for every track, by their method alone.
_FOR_ALL_TRACKS = {"respectra"}


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_is_called_after_its_method_and_track(name: str) -> None:
    recipe = load_recipe(name)
    known = recipe.method if name in _FOR_ALL_TRACKS else f"{recipe.method}-{recipe.track}"
    assert recipe.name == name == known


@pytest.mark.parametrize("method", list_methods("network"))
def test_every_network_has_a_recipe_for_the_tracks_it_entered(method: str) -> None:
    names = list_recipes()
    for track in {"clean", *get_card(method).rank}:
        assert f"{method}-{track}" in names


@pytest.mark.parametrize("method", list_methods("network"))
def test_inputs_are_those_of_the_authors_own_weights(method: str) -> None:
    official = get_network(method).official
    for track in ("clean", "real-world") if official else ():
        if track not in official.contract:
            continue
        recipe = load_recipe(f"{method}-{track}")
        expected = Contract(track=track, **official.contract[track])
        assert recipe.contract().model_copy(update={"response": None}) == expected


def test_a_value_is_changed_by_its_dotted_name() -> None:
    recipe = load_recipe("awan-clean")
    changed = change_recipe(
        recipe, {"optimizer.lr": "2e-4", "loss.mrae.floor": "0.01", "loss.camera": "null"}
    )
    assert isinstance(changed, Recipe)
    assert changed.optimizer.lr == 2e-4
    assert changed.optimizer.eps == 1e-8
    assert [name for name, _ in changed.loss.terms()] == ["mrae"]
    assert changed.loss.mrae is not None
    assert changed.loss.mrae.floor == 0.01


def test_a_term_that_was_absent_is_added_by_naming_one_of_its_values() -> None:
    changed = change_recipe(load_recipe("rpan-clean"), {"loss.ssim.weight": 2})
    assert isinstance(changed, Recipe)
    assert [name for name, _ in changed.loss.terms()] == ["mrae", "ssim"]


@pytest.mark.parametrize(
    ("path", "near"), [("optimizer.lrr", "optimizer.lr"), ("bach", "batch"), ("loss.mra", "loss.")]
)
def test_a_typo_is_refused_with_what_it_may_mean(path: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown recipe value '{path}'.*{near}"):
        change_recipe(load_recipe("hscnn-r-clean"), {path: "1"})


def test_a_network_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="wdth"):
        change_recipe(load_recipe("hscnn-r-clean"), {"options.wdth": "8"})


def test_another_preset_drops_the_options_of_the_old_one() -> None:
    changed = change_recipe(load_recipe("hscnn-r-clean"), {"options.width": "8"})
    assert change_recipe(changed, {"preset": "tiny"}).options == {}


def test_another_schedule_starts_from_its_own_defaults() -> None:
    changed = change_recipe(load_recipe("awan-clean"), {"schedule.name": "cosine"})
    assert isinstance(changed, Recipe)
    assert changed.schedule.model_dump() == {"name": "cosine", "final_lr": 0.0}


def test_what_nobody_published_must_be_a_field() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.rate"):
        Recipe(name="x", method="hscnn-r", undisclosed=("optimizer.rate",))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    for name in ("mxr-unet-real-world", "root-polynomial-clean"):
        recipe = load_recipe(name)
        save_recipe(recipe, tmp_path / f"{name}.yaml")
        assert load_recipe(tmp_path / f"{name}.yaml") == recipe


def test_a_file_may_extend_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: awan-clean\noptimizer: {lr: 1e-5}\n")
    recipe = load_recipe(tmp_path / "mine.yaml")
    assert isinstance(recipe, Recipe)
    assert (recipe.name, recipe.optimizer.lr, recipe.batch) == ("mine", 1e-5, 32)


def test_files_that_are_no_recipes_are_refused(tmp_path: Path) -> None:
    for text, message in (("- 1", "mapping"), ("a: [", "YAML"), ("extends: me", "extends itself")):
        (tmp_path / "me.yaml").write_text(text)
        with pytest.raises(FormatError, match=message):
            load_recipe(tmp_path / "me.yaml")
    with pytest.raises(ConfigError, match=r"unknown recipe 'awan-clear'.*awan-clean"):
        load_recipe("awan-clear")


def test_classical_methods_have_recipes_without_files() -> None:
    recipe = load_recipe("root-polynomial")
    assert isinstance(recipe, ClassicalRecipe)
    assert recipe.name == "root-polynomial-clean"


def test_whole_image_scaling_does_not_go_with_changing_exposure() -> None:
    with pytest.raises(ConfigError, match="min-max"):
        change_recipe(load_recipe("mst-plus-plus-exposed"), {"patches.exposure": "[0.5, 1]"})


def test_files_hold_nothing_that_their_base_says_already() -> None:
    folder = Path(load_recipe.__code__.co_filename).parent / "recipes"
    for path in folder.glob("*.yaml"):
        values = yaml.safe_load(path.read_text())
        if "extends" in values:
            base = yaml.safe_load((folder / f"{values['extends']}.yaml").read_text())
            assert not {k for k, v in values.items() if base.get(k) == v}, path.name
