"""Methods: the registry, cards, contracts and weights files."""

from typing import TYPE_CHECKING

from respectra.methods.card import Card, Decision, Origin, Score, Tiling
from respectra.methods.contract import Contract, ResponseRecord
from respectra.methods.registry import (
    build_classical,
    build_network,
    configure,
    get_card,
    get_classical,
    get_method,
    get_network,
    is_classical,
    list_methods,
)
from respectra.methods.weights import Weights
from respectra.methods.weights_files import fresh_weights, load_weights, save_weights
from respectra.renaming import lazy_names

if TYPE_CHECKING:
    from respectra.methods.measure import MethodFacts, get_facts
    from respectra.methods.official import import_official, load_official, recognise_checkpoint

__getattr__ = lazy_names(
    __name__,
    {
        "measure": ["MethodFacts", "get_facts"],
        "official": ["import_official", "load_official", "recognise_checkpoint"],
    },
)

__all__ = [
    "Card",
    "Contract",
    "Decision",
    "MethodFacts",
    "Origin",
    "ResponseRecord",
    "Score",
    "Tiling",
    "Weights",
    "build_classical",
    "build_network",
    "configure",
    "fresh_weights",
    "get_card",
    "get_classical",
    "get_facts",
    "get_method",
    "get_network",
    "import_official",
    "is_classical",
    "list_methods",
    "load_official",
    "load_weights",
    "recognise_checkpoint",
    "save_weights",
]
