"""What a check is, and how a battery of them runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from respectra.errors import RespectraError
from respectra.methods.card import Card
from respectra.methods.registry import methods
from respectra.registry import reason_of
from respectra.typing import FloatArray

if TYPE_CHECKING:
    from respectra.methods.registry import Method

T = TypeVar("T")


class NotApplicable(Exception):  # noqa: N818 - not an error: a check that has nothing to look at
    """Raised by a check that does not apply to an entry; says why.

    Example:
        >>> try:
        ...     raise NotApplicable("the method has no tensors")
        ... except NotApplicable as reason:
        ...     str(reason)
        'the method has no tensors'
    """


@dataclass(frozen=True)
class Check(Generic[T]):
    """One thing that must hold for every entry of a kind.

    Example:
        >>> def is_lower_case(name: str) -> None:
        ...     assert name == name.lower()
        >>> Check("name_is_lower_case", is_lower_case).slow
        False
    """

    name: str
    """What must hold, as words with underscores."""
    run: Callable[[T], None]
    """Raises an AssertionError where it does not hold, NotApplicable where it cannot be asked."""
    slow: bool = False
    """Whether it takes more than about a second."""


class Battery(list[Check[T]]):
    """Checks in the order in which they are defined; ``@battery.check`` adds one."""

    def check(self, run: Callable[[T], None]) -> Callable[[T], None]:
        """Add a check that is named like its function."""
        self.append(Check(run.__name__, run))
        return run

    def slow_check(self, run: Callable[[T], None]) -> Callable[[T], None]:
        """Add a check that takes a while."""
        self.append(Check(run.__name__, run, slow=True))
        return run


def run_checks(name: str, entry: T, checks: Sequence[Check[T]], *, slow: bool) -> dict[str, str]:
    """Run a battery over one entry.

    Args:
        name: of the entry, for messages.
        entry: what is looked at.
        checks: the battery.
        slow: also those that take a while.

    Returns:
        Check by check ``passed``, or why it does not apply.

    Raises:
        AssertionError: names every check that failed, and what was seen.

    Example:
        >>> def is_lower_case(name: str) -> None:
        ...     assert name == name.lower()
        >>> run_checks("mine", "mine", [Check("name_is_lower_case", is_lower_case)], slow=False)
        {'name_is_lower_case': 'passed'}
    """
    results, failures = {}, []
    for check in checks:
        if check.slow and not slow:
            continue
        try:
            check.run(entry)
        except NotApplicable as reason:
            results[check.name] = f"does not apply: {reason}"
        except AssertionError as error:
            failures.append(f"{check.name}: {error}")
        except Exception as error:  # what is looked at may raise anything
            failures.append(f"{check.name}: {reason_of(error)}")
        else:
            results[check.name] = "passed"
    if failures:
        count = len(results) + len(failures)
        raise AssertionError(
            f"{name} fails {len(failures)} of {count} checks:\n  " + "\n  ".join(failures)
        )
    return results


def smooth_spectra(rng: np.random.Generator, *shape: int, bands: int) -> FloatArray:
    """Bumps of any place and height over the bands, shape (*shape, band), from 0 to 1."""
    at = np.linspace(0, 1, bands)
    centre, height = rng.random((2, *shape, 1))
    return np.asarray(height * np.exp(-(((at - centre) / 0.3) ** 2)))


def require(condition: object, message: str) -> None:
    """Raise an AssertionError with a message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def registered(method: Method) -> str:
    """The name under which a method is registered, or NotApplicable."""
    name = method.card.name
    if name not in methods() or methods()[name] != method:
        raise NotApplicable(f"no installed package registers {name!r} with this entry")
    return name


def require_card(card: Card, kind: str) -> None:
    """Require that a card says everything that every card says."""
    require(card.kind == kind, f"its card says that it is {card.kind}")
    for fact in ("title", "reference", "decisions"):
        require(getattr(card, fact), f"its card has no {fact}")
    require(card.summary.endswith("."), "its summary is no sentence: it does not end with a stop")
    unsourced = [d.what for d in card.decisions if d.origin != "our reading" and not d.source]
    require(not unsourced, f"these decisions do not name where they are published: {unsourced}")


def require_refusal(
    call: Callable[[], Any], error: type[RespectraError], pattern: str, what: str
) -> None:
    """Require that a call raises an error of ours whose message matches.

    Args:
        call: what should be refused.
        error: the class of ``respectra.errors``.
        pattern: regular expression that the message matches somewhere.
        what: what is refused, for the message.
    """
    try:
        call()
    except error as refusal:
        require(
            re.search(pattern, str(refusal)),
            f"{what} is refused with {str(refusal)!r}, which does not say {pattern!r}",
        )
        return
    except Exception as other:
        raise AssertionError(f"{what} raises {reason_of(other)}, not a {error.__name__}") from other
    raise AssertionError(f"{what} is accepted; it should raise a {error.__name__}")
