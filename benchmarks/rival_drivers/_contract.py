"""What every driver does: take conversations as JSON lines on standard input, and answer what the rival did.

Runs inside the rival's own environment, so it needs nothing but the standard library.  A driver is a file
``drive_NAME.py`` with a class for each way that the rival is documented to be used; a class has

* ``begin(conversation)``: a new conversation; all of its messages are given, for what must be named in advance,
* ``see(message)``: the next message; true if the rival stops the conversation now,
* ``note(message)``: only where the rival reads the whole history at every step (``WHOLE_HISTORY``): take the message,
  do not judge yet.

A message is a dictionary with ``sender``, ``recipient``, ``kind`` (``message``, ``handoff``, ``tool_call``,
``tool_result``), ``from_user``, ``content``, ``message_id``, ``parent_id``, ``model``; ``seconds`` since the first
message, ``usage`` and ``cost_usd`` are ``None`` where they are not recorded.  Calls and results have ``tool``
(``name``, ``call_id``, ``arguments``, ``result``, ``is_error``) as recorded and the ``arguments`` of the call, and a
call has ``outcome``, the tool of its result if there is one.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import sys
from time import perf_counter, process_time

__all__ = ["Driver", "addressed", "arguments_of", "calls_of", "serve", "tokens_of"]

#: Positions at which the cost is taken, and over how many messages; fewer where each reads the whole history.
MARKS = (1_000, 10_000)
_SPAN, _FEW = 500, 7


class Driver:
    """One conversation after the other, as one rival sees them."""

    WHOLE_HISTORY = False

    def begin(self, conversation):
        """Forget everything, and begin a new conversation."""
        raise NotImplementedError

    def see(self, message):
        """Show the next message; return whether the rival stops the conversation."""
        raise NotImplementedError

    def note(self, message):
        """Show the next message without asking for a verdict."""
        raise NotImplementedError


def calls_of(message):
    """Yield what one message is for a rival that only knows finished tool calls: name, arguments, result.

    A message to another agent is a call ``message_RECIPIENT`` whose result is what was delivered; a tool call counts
    when its result is there.  What the user says is no call.
    """
    tool = message.get("tool")
    if tool is None:
        if not message["from_user"]:
            yield addressed(message), {"content": message["content"]}, message["content"]
    elif message["kind"] == "tool_result":
        yield tool["name"], arguments_of(message), tool["result"] or ""


def addressed(message):
    """Name of the call that a message to another agent is shown as."""
    return f"message_{message['recipient'] or 'everyone'}"


def arguments_of(message):
    """Arguments of a call or of its result, as a mapping, as every rival wants them."""
    arguments = message.get("arguments")
    return arguments if isinstance(arguments, dict) else {"value": arguments}


def tokens_of(message):
    """Input and output tokens: those recorded, else a token for four characters of output."""
    usage = message["usage"]
    if usage is None:
        return 0, len(message["content"]) // 4
    return usage["input_tokens"], usage["output_tokens"]


def judge(driver, conversation):
    """Index of the message at which the rival stops the conversation, ``None`` if it never does."""
    driver.begin(conversation)
    for number, message in enumerate(conversation):
        if driver.see(message):
            return number
    return None


def measure(driver, conversation, seconds):
    """Microseconds for a message near each mark, as far as the time allows.

    A rival that stops the conversation begins a new one with the next message, and the number of stops is told.
    """
    spans = {}
    for mark in MARKS:
        width = _FEW if driver.WHOLE_HISTORY else _SPAN
        spans.update(dict.fromkeys(range(mark - width, mark), mark))
    taken = {}
    stops = number = 0
    latest = []
    began = perf_counter()
    driver.begin(conversation)
    for number, message in enumerate(conversation, 1):
        if driver.WHOLE_HISTORY and number - 1 not in spans:
            driver.note(message)
            continue
        # What others do on this machine is not charged: a long call is interrupted for sure, and a short one too short
        # for the clock of the processor.
        busy = process_time()
        start = perf_counter()
        stopped = driver.see(message)
        end = perf_counter()
        took = min(end - start, process_time() - busy)
        if number - 1 in spans:
            taken.setdefault(spans[number - 1], []).append(took)
        latest.append(took)
        if stopped:
            stops += 1
            driver.begin(conversation[number:])
        if end - began > seconds:
            break
    cost = {str(mark): round(statistics.median(values) * 1e6, 2) for mark, values in taken.items()}
    return {
        "us": cost,
        "latest_us": round(statistics.median(latest[-100:]) * 1e6, 2),
        "reached": number,
        "stops": stops,
    }


def versions(distributions):
    """Installed versions of the named distributions."""
    return {name: importlib.metadata.version(name) for name in distributions}


def serve(modes, distributions):
    """Answer requests until standard input ends; the first argument names the mode.

    Args:
        modes: Class of the driver by the name of the mode.
        distributions: What the rival is called on the package index, with what its version depends on.
    """
    # Rivals print; the answers go to the real standard output, which nobody else may use.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    driver = modes[sys.argv[1]]()
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        try:
            if request["do"] == "hello":
                answer = {"versions": versions(distributions), "python": platform.python_version()}
            elif request["do"] == "judge":
                answer = {"halted_at": judge(driver, request["messages"])}
            elif request["do"] == "measure":
                answer = measure(driver, request["messages"], request["seconds"])
        except Exception as error:  # Whatever the rival raises is an answer too.
            answer = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
