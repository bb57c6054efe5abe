"""AB303: what is asked, what the answers add up to, and what is kept."""

from __future__ import annotations

import pytest

from agentbreaker import Policy
from agentbreaker.detectors.semantic_repeat import Question, Reading, SemanticRepeat, script_of
from agentbreaker.observation import Kind, Observation, Round
from tests.fake_embedder import letters

EMPTY, NEWS = Reading(1.0, 0.0), Reading(-1.2, 0.0)


class Talk:
    """Feeds a detector with talk of a team that speaks in turn."""

    def __init__(self, policy: Policy | None = None, team: tuple[str, ...] = ("ann", "bob")) -> None:
        self.detector = SemanticRepeat((policy or Policy()).settings)
        self.seen = Observation()
        self.team = team

    def say(self, text: str, *, repeated: bool = False) -> None:
        """Tell the detector of one message of talk."""
        seen = self.seen
        seen.index += 1
        seen.kind, seen.round, seen.repeated, seen.emptiness = Kind.TALK, Round.NONE, repeated, 0.0
        seen.sender = self.team[seen.index % len(self.team)]
        self.detector.observe(seen)
        self.detector.note(seen, text)

    def happen(self, kind: Kind, *, worth: Round = Round.NONE, emptiness: float = 0.0) -> None:
        """Tell the detector of something that is not talk."""
        seen = self.seen
        seen.index += 1
        seen.kind, seen.round, seen.repeated, seen.emptiness = kind, worth, False, emptiness
        self.detector.observe(seen)

    def ask(self) -> Question | None:
        """What it wants to know of an embedder that knows all scripts."""
        return self.detector.question(None)

    def asked(self) -> list[str]:
        """The texts to be judged."""
        question = self.ask()
        return [] if question is None else [question.texts[index] for index in question.judged]

    def go_round(self, count: int = 4, reading: Reading = EMPTY) -> float:
        """Talk on, have each message judged alike, and return the evidence."""
        value = 0.0
        for _ in range(count):
            self.say(f"{letters(self.seen.index + 100)} words")
            question = self.ask()
            if question is not None:
                signal = self.detector.judge(question, [reading] * len(question.judged), self.seen)
                value = 0.0 if signal is None else signal.value
        return value


def test_asks_only_when_two_have_gone_round_twice() -> None:
    """The first laps of a conversation cost nothing."""
    talk = Talk()
    for text in ("one word", "two words", "three words"):
        talk.say(text)
        assert talk.asked() == []
    talk.say("four words")
    assert talk.asked() == ["four words"]
    assert talk.asked() == []


@pytest.mark.parametrize(("team", "first"), [(("ann",), None), (("ann", "bob"), 4), (("a", "b", "c"), 6)])
def test_waits_for_two_turns_of_each(team: tuple[str, ...], first: int | None) -> None:
    """A larger team is given longer, and one that thinks aloud is never asked about."""
    talk = Talk(team=team)
    asked = []
    for number in range(1, 12):
        talk.say(f"{letters(number)} words")
        if talk.asked():
            asked.append(number)
    assert asked[:1] == ([] if first is None else [first])


@pytest.mark.parametrize(
    ("kind", "worth", "emptiness", "ends"),
    [
        (Kind.RESULT, Round.PROGRESS, 0.0, True),
        (Kind.RESULT, Round.CHANGED_FIGURES, 0.0, True),
        (Kind.RESULT, Round.EXACT_REPEAT, 0.0, False),
        (Kind.CALL, Round.NONE, 0.0, False),
        (Kind.OUTSIDE, Round.NONE, 0.0, True),
        (Kind.OUTSIDE, Round.NONE, 0.9, False),
    ],
)
def test_news_from_elsewhere_ends_the_run(kind: Kind, worth: Round, emptiness: float, ends: bool) -> None:
    """After a new result or a turn of the user it is not asked, and a question on its way counts no more."""
    talk = Talk()
    talk.go_round(3)
    talk.say("four words")
    question = talk.ask()
    assert question is not None
    talk.happen(kind, worth=worth, emptiness=emptiness)
    talk.detector.judge(question, [EMPTY] * len(question.judged), talk.seen)
    assert (talk.detector._evidence.value == 0.0) is ends
    talk.say("five words")
    assert (talk.asked() == []) is ends


def test_adds_up_and_drains() -> None:
    """Messages that mean nothing new add up to a signal at the halt, and news takes it away again."""
    talk = Talk()
    talk.go_round(3)
    assert talk.go_round(5) == pytest.approx(4.5)
    assert talk.go_round(1, NEWS) == pytest.approx(3.6)
    assert talk.go_round(4, NEWS) == 0.0


def test_restating_is_evidence_too() -> None:
    """News in a message that is as close to an earlier one as the limit plus an eighth is no news."""
    talk = Talk()
    talk.go_round(3)
    assert talk.go_round(4, Reading(-1.0, 0.775)) == pytest.approx(3.6)
    assert talk.go_round(1, Reading(-1.0, 0.65)) == pytest.approx(3.6)


def test_the_signal_names_its_evidence() -> None:
    """It begins with the first message that counted, and names the agents and the messages."""
    talk = Talk()
    talk.go_round(3)
    talk.go_round(4)
    talk.seen.kind = Kind.TALK
    signal = talk.detector.observe(talk.seen)
    assert signal is not None
    assert (signal.code, signal.since, set(signal.agents)) == ("AB303", 3, {"ann", "bob"})
    assert signal.evidence == ("#3", "#4", "#5", "#6")


@pytest.mark.parametrize(("text", "asked"), [("row 7 follows", False), ("row 4 follows", True), ("row 3 again", True)])
def test_a_new_figure_is_news(text: str, asked: bool) -> None:
    """A figure that the window lacks drains without a question; an old one, or the next of a counter, does not."""
    talk = Talk()
    talk.go_round(3)
    before = talk.go_round(3)
    talk.say("row 3 comes")
    talk.ask()
    before = talk.detector._evidence.value
    talk.say(text)
    assert bool(talk.asked()) is asked
    assert (talk.detector._evidence.value < before) is not asked


def test_an_exact_repeat_is_not_asked_about() -> None:
    """It counts at once: no embedder is needed to see it."""
    talk = Talk()
    talk.go_round(4, Reading(-0.2, 0.0))
    talk.say("the same words", repeated=True)
    assert talk.asked() == []
    assert talk.detector._evidence.value == pytest.approx(0.9)


@pytest.mark.parametrize(("resent", "quoted"), [(0.97, False), (None, True)])
def test_a_large_artefact_that_comes_again_is_not_asked_about(resent: float | None, quoted: bool) -> None:
    """Its beginning is always the same; its lines are compared instead, and the talk around it is still asked about."""
    talk = Talk()
    for text in ("one word", "two words", "three words", "four words"):
        talk.say(text)
    talk.asked()
    talk.seen.resent, talk.seen.quoted = resent, quoted
    talk.say("The whole report once more")
    assert talk.asked() == []
    talk.seen.resent, talk.seen.quoted = None, False
    talk.say("five words")
    assert talk.asked() == ["five words"]


def test_work_handed_out_to_many_is_no_evidence() -> None:
    """The same words from the same agent to one after the other are one message."""
    talk = Talk()
    talk.go_round(4)
    talk.ask()
    size = len(talk.detector._said)
    talk.say("please begin")
    talk.seen.index += 1  # the same speaker again
    talk.say("please begin")
    assert len(talk.detector._said) == size + 1


def test_what_it_keeps_is_bounded() -> None:
    """The latest messages, the beginning of each."""
    talk = Talk(Policy(semantic={"window": 5, "characters": 60}))
    for number in range(40):
        talk.say(letters(number) * 100)
    assert [len(said.text) for said in talk.detector._said] == [60] * 5


def test_without_excerpts_no_text_outlives_its_question() -> None:
    """Where the policy keeps none, a text is only there while it is asked about, and not before that is needed."""
    talk = Talk(Policy(conversations={"keep_excerpts": False}))
    for number in range(3):
        talk.say(f"{letters(number)} words")
    assert not any(said.text for said in talk.detector._said)
    talk.say("fourth words")
    question = talk.ask()
    assert question is not None
    assert question.texts == ("", "", "", "fourth words")
    assert not any(said.text for said in talk.detector._said)


def test_a_script_that_is_not_understood_is_not_asked_about() -> None:
    """Known scripts narrow the question; with none of them there is no question."""
    talk = Talk()
    talk.go_round(3)
    talk.say("谢谢,完全同意")
    assert talk.detector.question({"latin"}) is None
    talk.say("Спасибо, совершенно согласен")
    assert talk.ask() is None
    talk.say("plain words")
    assert talk.detector.question({"latin"}) is not None


def test_scripts() -> None:
    """A few foreign words do not change the script of a text."""
    assert script_of("Done: 报告 is in the shared folder now") == "latin"
    assert script_of("报告已经全部完成, see README") == "cjk"
    assert script_of("") == ""


def test_reset_drops_what_is_on_its_way() -> None:
    """An answer to a question from before the reset is no evidence."""
    talk = Talk()
    talk.go_round(3)
    talk.say("four words")
    question = talk.ask()
    assert question is not None
    talk.detector.reset()
    assert talk.detector.judge(question, [EMPTY], talk.seen) is None
    assert talk.detector._evidence.value == 0.0


def test_a_message_that_could_not_be_read_is_neither() -> None:
    """No reading, no evidence and no drain."""
    talk = Talk()
    talk.go_round(3)
    before = talk.go_round(3)
    talk.say("more words")
    question = talk.ask()
    assert question is not None
    signal = talk.detector.judge(question, [None], talk.seen)
    assert signal is not None
    assert signal.value == before
