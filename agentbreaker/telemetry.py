"""What agentbreaker tells the application's log: few events, structured, and silent until somebody listens.

The events go to the standard logger ``agentbreaker``, which has nothing but a ``NullHandler``; they become visible
when the application adds a handler (a JSON formatter finds the facts as attributes of the record).  The configuration
of structlog belongs to the application and is neither changed nor used, but what the application has bound with
``structlog.contextvars`` is taken along.

=====================================  =======  ==================================================================
``agentbreaker.loop.warned``           warning  a warning or a steer; in shadow mode also a halt that was withheld
``agentbreaker.breaker.tripped``       error    a conversation was told to finish, or was halted
``agentbreaker.breaker.state_changed`` info     a breaker changed its state
``agentbreaker.failure``               error    agentbreaker itself failed, and went on
``agentbreaker.policy.loaded``         info     a policy took effect
=====================================  =======  ==================================================================

No event holds the content of a message.  Names and ids come from outside and go through
:func:`~agentbreaker.printable.printable`, so that an event is always one physical line.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from agentbreaker.printable import printable
from agentbreaker.verdict import Action, Decision, Transition

__all__ = ["LOGGER_NAME", "Telemetry"]

#: The standard logger that all events go to.
LOGGER_NAME = "agentbreaker"

_LOGGER = logging.getLogger(LOGGER_NAME)
_LOGGER.addHandler(logging.NullHandler())

# ``logging`` refuses a fact that is called like one of its own attributes; what the application has bound may be.
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "stacklevel", "stackLevel"}

_Facts = Callable[[], dict[str, Any]]


class Telemetry:
    """Emits the events of one guard, and never raises into it.

    The guard calls it after its locks are released, as a handler of the application may block.  structlog is imported
    when the first event is emitted that somebody hears.

    >>> telemetry = Telemetry()
    >>> telemetry.emit_failure("detector_raised", ZeroDivisionError("the text stays here"))
    >>> telemetry.failures
    {'detector_raised': 1}

    Attributes:
        failures: How often agentbreaker itself failed, by condition.  ``"telemetry"`` counts the events that could not
            be emitted.
    """

    __slots__ = ("_lock", "_logger", "failures")

    def __init__(self) -> None:
        self.failures: dict[str, int] = {}
        self._lock = threading.Lock()
        self._logger: Any = None

    def emit_decision(self, conversation_id: str, decision: Decision, detector_codes: Sequence[str] = ()) -> None:
        """Tell about a new decision; an ``ALLOW`` that withholds nothing is not told.

        Call it once for a decision, not again for every message that a standing decision stops.

        Args:
            conversation_id: The conversation.
            decision: What was decided.
            detector_codes: The detectors that had something to say, strongest first.
        """
        if decision.action is Action.ALLOW and decision.would is None:
            return
        opens = decision.action.opens
        self._emit(
            logging.ERROR if opens else logging.WARNING,
            "agentbreaker.breaker.tripped" if opens else "agentbreaker.loop.warned",
            lambda: {
                "gen_ai.conversation.id": conversation_id,
                "agentbreaker.action": decision.action.value,
                "agentbreaker.detector": decision.code,
                "agentbreaker.detectors": tuple(detector_codes),
                "agentbreaker.score": round(decision.score, 4),
                "agentbreaker.reason": decision.reason,
                "agentbreaker.generation": decision.generation,
                "agentbreaker.retry_after": decision.retry_after,
                "agentbreaker.shadow": decision.shadow,
                "agentbreaker.would": None if decision.would is None else decision.would.value,
                "agentbreaker.probe": decision.probe,
            },
        )

    def emit_transition(self, transition: Transition) -> None:
        """Tell that a breaker changed its state."""
        self._emit(
            logging.INFO,
            "agentbreaker.breaker.state_changed",
            lambda: {
                "gen_ai.conversation.id": transition.conversation_id,
                "agentbreaker.previous_state": transition.previous.value,
                "agentbreaker.state": transition.state.value,
                "agentbreaker.generation": transition.generation,
                "agentbreaker.at": transition.at,
                "agentbreaker.reason": transition.reason,
                "agentbreaker.detector": transition.code,
                "agentbreaker.by": transition.by,
            },
        )

    def emit_failure(self, condition: str, error: BaseException) -> None:
        """Count a failure of our own, and tell its condition and the type of the exception, never its text.

        A failure that comes back with every message must not flood the log: the first, second, fourth, eighth ...
        of a condition is told, with the count.

        Args:
            condition: Name of what failed (``"detector_raised"``).
            error: What was raised.  Its text may quote a message and stays here.
        """
        count = self._count(condition)
        if count & (count - 1):
            return
        kind = type(error)
        self._emit(
            logging.ERROR,
            "agentbreaker.failure",
            lambda: {
                "agentbreaker.condition": condition,
                "agentbreaker.error_type": f"{kind.__module__}.{kind.__qualname__}",
                "agentbreaker.count": count,
            },
        )

    def emit_policy_loaded(self, policy: str, source: str | None = None) -> None:
        """Tell which policy took effect.

        Args:
            policy: Name of the policy.
            source: File that it was read from, ``None`` for one that was made in code.
        """
        self._emit(
            logging.INFO,
            "agentbreaker.policy.loaded",
            lambda: {"agentbreaker.policy": policy, "agentbreaker.source": source},
        )

    def _emit(self, level: int, event: str, facts: _Facts) -> None:
        """Hand one event to the log; whatever goes wrong there is counted and stays there."""
        try:
            if _is_heard(level):
                self._structlog().log(level, event, **facts())
        except Exception:
            self._count("telemetry")

    def _structlog(self) -> Any:
        """Return the wrapped logger, made on first use."""
        if self._logger is None:
            import structlog

            # Everything is said here, so that the application's ``structlog.configure`` does not reach in.
            self._logger = structlog.wrap_logger(
                _LOGGER,
                processors=[
                    structlog.stdlib.filter_by_level,
                    structlog.contextvars.merge_contextvars,
                    _make_printable,
                    structlog.stdlib.render_to_log_kwargs,
                ],
                wrapper_class=structlog.stdlib.BoundLogger,
                context_class=dict,
                cache_logger_on_first_use=False,
            )
        return self._logger

    def _count(self, condition: str) -> int:
        """Add one to `condition` and return its new count."""
        with self._lock:
            count = self.failures.get(condition, 0) + 1
            self.failures[condition] = count
        return count


def _is_heard(level: int) -> bool:
    """Whether any handler but a ``NullHandler`` would receive an event of `level`."""
    if not _LOGGER.isEnabledFor(level):
        return False
    logger: logging.Logger | None = _LOGGER
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _make_printable(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every fact safe to show, and rename those that ``logging`` would refuse (a structlog processor)."""
    return {
        f"context.{name}" if name in _RESERVED else printable(name): _printable_value(value)
        for name, value in event.items()
    }


def _printable_value(value: Any) -> Any:
    """Return `value` as something that any formatter can write on one line."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, tuple):
        return tuple(_printable_value(item) for item in value)
    return printable(str(value))
