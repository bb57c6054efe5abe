"""Large artefacts - reports, files, plans - and how much of one its sender has sent before.

An artefact is cut into its lines and sentences; two versions are compared by the share of pieces that both have
(containment; A. Z. Broder, *On the resemblance and containment of documents*, 1997).
"""

from __future__ import annotations

from array import array
from zlib import crc32

__all__ = ["QUOTED", "SAME_ARTEFACT", "SMALLEST_ARTEFACT", "Artefacts"]

#: Characters from which a message counts as an artefact.
SMALLEST_ARTEFACT = 600
#: Share of an artefact that must be known for it to be another version of the same one.
SAME_ARTEFACT = 0.7
#: Pieces of an artefact that are compared at most, and their shortest length in bytes, digits and blanks left out.
_MOST_PIECES = 256
_SHORTEST = 8
_FEWEST = 5
#: In place of a share: the artefact is another's.
QUOTED = -1.0
#: Share of another's artefact with which a message is taken to quote it.
_QUOTE = 0.95
#: Senders whose latest artefact is kept.
_MOST_SENDERS = 3
_BLANKS_AND_DIGITS = b" \t0123456789"


class Artefacts:
    """Remembers the latest artefact of each sender, in at most 3 KiB."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: dict[str, array[int]] = {}

    def resent(self, sender: str, text: str, *, goes_on: bool = False) -> float | None:
        r"""Return the share of an artefact, in [0, 1], that the sender's previous one had too; remember it.

        Args:
            sender: Whose message it is.
            text: The message.
            goes_on: Whether the sender also spoke last.

        Returns:
            ``None`` if the message is no artefact: short, or of few lines and sentences.  :data:`QUOTED` if it carries
            along what somebody else has just sent, or, with more about it, word for word what the
            sender has, as prompts do.

        >>> report = "\n".join(f"Finding {name}: the shipment of {name} is late." * 4 for name in "abcdefgh")
        >>> artefacts = Artefacts()
        >>> artefacts.resent("writer", report), artefacts.resent("writer", report.replace("late", "late again", 1))
        (0.0, 0.875)
        """
        if len(text) < SMALLEST_ARTEFACT:
            return None
        pieces = _pieces(text)
        if len(pieces) < _FEWEST:
            return None
        latest = self._latest
        if latest and (author := next(reversed(latest))) != sender:
            quoted = latest[author]
            if len(pieces.intersection(quoted)) >= _QUOTE * len(quoted):
                return QUOTED
        before = latest.get(sender)
        if goes_on and before is not None and len(pieces.intersection(before)) == len(before) < len(pieces):
            return QUOTED
        latest.pop(sender, None)
        latest[sender] = array("I", pieces)
        if before is None:
            if len(latest) > _MOST_SENDERS:
                del latest[next(iter(latest))]
            return 0.0
        return len(pieces.intersection(before)) / len(pieces)


def _pieces(text: str) -> set[int]:
    """Fingerprints of the lines and sentences, figures left out."""
    raw = text.encode("utf-8", "surrogatepass").replace(b". ", b"\n").replace("。".encode(), b"\n")
    pieces: set[int] = set()
    for piece in raw.split(b"\n"):
        bare = piece.translate(None, _BLANKS_AND_DIGITS)
        if len(bare) >= _SHORTEST:
            pieces.add(crc32(bare))
            if len(pieces) >= _MOST_PIECES:
                break
    return pieces
