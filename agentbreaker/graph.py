"""The live call graph of one conversation: windowed, weighted, directed, O(1) per message.

Besides the edges it follows the *walk* of the conversation from speaker to speaker and pops every loop that closes
(loop-erased walk: Lawler 1980).  So it counts the cycles that the traffic really walks, in amortised constant time,
and not the exponentially many that merely exist.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["DEFAULT_WINDOW", "CallGraph", "Edge", "Walk"]

#: Messages that the graph remembers.
DEFAULT_WINDOW = 256
_MAX_PATH = 64
#: An entry of the ring: number of the sender, number of the recipient, and one bit for "inferred".
_TARGET_BITS = 24
_SOURCE_BITS = _TARGET_BITS + 1
_TARGET_MASK = (1 << _TARGET_BITS) - 1


class Edge:
    """Traffic from one agent to another within the window.

    Attributes:
        sender, recipient: Names.
        messages, tokens, cost_usd: Sums over the window.
        inferred: How many of the messages named no recipient; the next speaker was taken for it, or the framework did
            not say who handed over to whom, and the integration took the one who ran next.
    """

    __slots__ = ("cost_usd", "inferred", "messages", "recipient", "sender", "tokens")

    def __init__(self, sender: str, recipient: str) -> None:
        self.sender = sender
        self.recipient = recipient
        self.messages = 0
        self.tokens = 0
        self.cost_usd = 0.0
        self.inferred = 0


class Walk:
    """The loop-erased walk from speaker to speaker."""

    __slots__ = ("_at", "path")

    def __init__(self) -> None:
        self.path: list[str] = []
        self._at: dict[str, int] = {}

    def step(self, speaker: str) -> tuple[str, ...] | None:
        """Move on to `speaker`; return the cycle that this closes, in walking order, or ``None``."""
        path, at = self.path, self._at
        if path and path[-1] == speaker:
            return None
        position = at.get(speaker)
        if position is None:
            if len(path) >= _MAX_PATH:
                self._forget_oldest()
            at[speaker] = len(path)
            path.append(speaker)
            return None
        cycle = tuple(path[position:])
        for name in cycle[1:]:
            del at[name]
        del path[position + 1 :]
        return cycle

    def _forget_oldest(self) -> None:
        """Drop half of a walk that never returned, so that its cost stays amortised O(1)."""
        self.path = self.path[_MAX_PATH // 2 :]
        self._at = {name: position for position, name in enumerate(self.path)}


class CallGraph:
    """Who spoke to whom within the last `window` messages.

    A message without recipient is drawn to whoever speaks next, and counted as inferred.

    >>> graph = CallGraph(window=4)
    >>> for sender, recipient in [("a", "b"), ("b", "a"), ("a", "b")]:
    ...     _ = graph.add(sender, recipient, tokens=10)
    >>> [(edge.sender, edge.recipient, edge.messages, edge.tokens) for edge in graph.edges()]
    [('a', 'b', 2, 20), ('b', 'a', 1, 10)]
    """

    __slots__ = ("_cost", "_names", "_next", "_open", "_ring", "_tokens", "_walk", "window")

    def __init__(self, window: int = DEFAULT_WINDOW) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1 message, not {window}")
        self.window = window
        # Names by number.  The edges are only added up when somebody asks: a message leaves no more than the two
        # numbers and what it cost, so that memory and time depend neither on the number of agents nor on the edges.
        self._names: dict[str, int] = {}
        # One entry per message of the window.  They grow until the window is full; costs only if there are any.
        self._ring = array("Q")
        self._tokens = array("q")
        self._cost: array[float] | None = None
        self._next = 0
        self._open: tuple[str, int, float] | None = None
        self._walk = Walk()

    def add(
        self,
        sender: str,
        recipient: str | None,
        *,
        tokens: int = 0,
        cost_usd: float = 0.0,
        inferred: bool = False,
    ) -> tuple[str, ...] | None:
        """Record a message; return the cycle of speakers that it closes, if any, in walking order."""
        waiting = self._open
        if waiting is not None and waiting[0] != sender:
            self._record(waiting[0], sender, waiting[1], waiting[2], 1)
            self._open = None
        if recipient is None:
            if self._open is not None:  # the same speaker again: one turn
                tokens += self._open[1]
                cost_usd += self._open[2]
            self._open = (sender, tokens, cost_usd)
        else:
            self._record(sender, recipient, tokens, cost_usd, int(inferred))
        return self._walk.step(sender)

    def _record(self, sender: str, recipient: str, tokens: int, cost_usd: float, inferred: int) -> None:
        names = self._names
        source, target = names.get(sender), names.get(recipient)
        if source is None or target is None:
            source, target = self._number(sender, recipient)
        entry = source << _SOURCE_BITS | target << 1 | inferred
        ring = self._ring
        if cost_usd and self._cost is None:
            self._cost = array("d", bytes(8 * len(ring)))
        costs = self._cost
        if len(ring) < self.window:
            ring.append(entry)
            self._tokens.append(tokens)
            if costs is not None:
                costs.append(cost_usd)
            return
        slot = self._next
        ring[slot] = entry
        self._tokens[slot] = tokens
        if costs is not None:
            costs[slot] = cost_usd
        self._next = slot + 1 if slot + 1 < self.window else 0

    def _number(self, sender: str, recipient: str) -> tuple[int, int]:
        """Number new names; when there are many, drop those that left the window, so that the cost is amortised."""
        if len(self._names) > 3 * self.window:
            old = list(self._names)
            names: dict[str, int] = {}
            for slot, entry in enumerate(self._ring):
                source = names.setdefault(old[entry >> _SOURCE_BITS], len(names))
                target = names.setdefault(old[entry >> 1 & _TARGET_MASK], len(names))
                self._ring[slot] = source << _SOURCE_BITS | target << 1 | entry & 1
            self._names = names
        names = self._names
        return names.setdefault(sender, len(names)), names.setdefault(recipient, len(names))

    def edges(self) -> list[Edge]:
        """The edges of the window, in order of their first message."""
        names = list(self._names)
        edges: dict[int, Edge] = {}
        ring, costs = self._ring, self._cost
        for position in range(len(ring)):
            slot = (self._next + position) % len(ring)
            pair, inferred = ring[slot] >> 1, ring[slot] & 1
            edge = edges.get(pair)
            if edge is None:
                edge = edges[pair] = Edge(names[pair >> _TARGET_BITS], names[pair & _TARGET_MASK])
            edge.messages += 1
            edge.tokens += self._tokens[slot]
            edge.inferred += inferred
            if costs is not None:
                edge.cost_usd += costs[slot]
        return list(edges.values())

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return the window as a ``networkx.DiGraph``.

        Nodes and edges carry ``messages``, ``tokens`` and ``cost_usd`` (a node: what it sent); edges also carry
        ``inferred`` (messages whose recipient was taken from the next speaker) and ``in_cycle``, whether the edge
        is part of a directed cycle.  Imports networkx on the first call.
        """
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        for edge in self.edges():
            for name in (edge.sender, edge.recipient):
                if name not in graph:
                    graph.add_node(name, messages=0, tokens=0, cost_usd=0.0)
            node = graph.nodes[edge.sender]
            node["messages"] += edge.messages
            node["tokens"] += edge.tokens
            node["cost_usd"] += edge.cost_usd
            graph.add_edge(
                edge.sender,
                edge.recipient,
                messages=edge.messages,
                tokens=edge.tokens,
                cost_usd=edge.cost_usd,
                inferred=edge.inferred,
                in_cycle=False,
            )
        component = {
            name: number for number, names in enumerate(nx.strongly_connected_components(graph)) for name in names
        }
        for sender, recipient, facts in graph.edges(data=True):
            facts["in_cycle"] = sender == recipient or component[sender] == component[recipient]
        return graph
