"""agentbelt-loop: its detector, a record and a check for every finished call."""

from __future__ import annotations

from _contract import Driver, calls_of, serve
from agentbelt_loop import LoopDetected, LoopDetector


class Alone(Driver):
    """A detector for each conversation."""

    def begin(self, conversation):
        self.detector = LoopDetector()
        self.session = "conversation"

    def see(self, message):
        try:
            for name, arguments, result in calls_of(message):
                self.detector.record(self.session, tool=name, args=arguments, result=result)
                self.detector.check(self.session)
        except LoopDetected:
            return True
        return False


class Learning(Alone):
    """One detector for all of them: what was a loop in two sessions is one sooner in the next."""

    def __init__(self):
        self.detector = LoopDetector()
        self.sessions = 0

    def begin(self, conversation):
        self.sessions += 1
        self.session = f"conversation-{self.sessions}"


if __name__ == "__main__":
    serve({"a detector for each conversation": Alone, "one detector, which learns": Learning}, ["agentbelt-loop"])
