"""AB201: thanks without end trip, agreement that brings something does not."""

from __future__ import annotations

import pytest

from agentbreaker import Action, Guard, Message

THANKS = [
    "Thank you, great work!",
    "You are welcome, glad to help.",
    "Perfect, I appreciate the good teamwork.",
    "Likewise, thanks again and good job.",
    "Wonderful, feel free to reach out.",
    "Sure, I will. Thanks a lot!",
    "Excellent, happy to assist anytime.",
    "Great, all confirmed then.",
    "Yes, confirmed. Thank you so much!",
    "My pleasure, goodbye!",
    "Goodbye, and thank you!",
    "Thanks, bye!",
]
THANKS_ZH = [
    "好的,收到,谢谢!",
    "不客气,很高兴帮助您。",
    "非常感谢,合作愉快!",
    "收到,确认没有问题。",
    "好的,明白了,谢谢大家。",
    "没问题,随时联系。",
    "感谢支持,祝您顺利!",
    "同意,完全认可。",
    "确认,谢谢!",
    "好的,再见!",
    "再见,祝好!",
    "谢谢,辛苦了!",
]
WORK = [
    "Thanks! Bergen sold 4120 kayaks, Oslo 2877.",
    "Great, then Turku follows with 1960, mostly the Saimaa model.",
    "Confirmed: invoice NK-88 went out on the Friday ferry to Vaasa.",
    "Agreed, customs in Haparanda wants form T2L with a seal number.",
    "Perfect, the seal is KX7731; warehouse Luleå opens at dawn.",
    "Thanks, I booked the forklift and driver Pelle Lindqvist.",
    "Great, insurance quotes 340 kronor through Skagerak Mutual.",
    "Okay, the pallet layout is herringbone with eleven tiers.",
    "Noted, moisture sensors report humid timber in bay seven.",
    "Sure, the carpenter replaces the swollen planks with larch.",
    "Confirmed, larch arrives from Sundsvall by rail wagon.",
    "Thank you, the crane operator needs a harness certificate.",
]
WORK_ZH = [
    "收到,卑尔根卖出4120条皮划艇,奥斯陆2877条。",
    "好的,图尔库仓库报了1960条,大多是赛马型号。",
    "确认,发票NK88随周五渡轮寄往瓦萨港口。",
    "同意,哈帕兰达海关要求铅封编号和T2L表格。",
    "谢谢,铅封是KX7731,吕勒奥库房黎明开门。",
    "好的,叉车已预订,司机叫林奎斯特。",
    "明白,斯卡格拉克保险报价340克朗。",
    "收到,托盘采用人字形码放,共十一层。",
    "了解,湿度传感器显示七号舱木材受潮。",
    "好的,木匠改用落叶松替换膨胀木板。",
    "确认,落叶松经铁路从松兹瓦尔运抵。",
    "谢谢,吊车操作员缺少安全带证书。",
]


def talk(guard: Guard, lines: list[str], names: tuple[str, ...] = ("ann", "bob")) -> list[Action]:
    """Let the names say the lines in turn; return the actions."""
    return [
        guard.observe(Message("c", names[i % len(names)], names[(i + 1) % len(names)], content=line)).action
        for i, line in enumerate(lines)
    ]


@pytest.mark.parametrize("lines", [THANKS, THANKS_ZH], ids=["english", "chinese"])
@pytest.mark.parametrize("names", [("ann", "bob"), ("ann", "bob", "cy", "dee")], ids=["two", "mesh"])
def test_thanks_without_end_are_halted(lines: list[str], names: tuple[str, ...]) -> None:
    """Politeness in ever other words is halted under this code, between two or among four."""
    guard = Guard()
    assert talk(guard, lines, names)[-1] is Action.HALT
    assert guard.decision("c").code == "AB201"


@pytest.mark.parametrize("lines", [WORK, WORK_ZH], ids=["english", "chinese"])
def test_polite_work_goes_on(lines: list[str]) -> None:
    """The same thanks with facts in every message are not even warned about."""
    assert set(talk(Guard(), lines)) == {Action.ALLOW}


@pytest.mark.parametrize(("thanks", "work"), [(THANKS, WORK), (THANKS_ZH, WORK_ZH)], ids=["english", "chinese"])
def test_news_drains_the_evidence(thanks: list[str], work: list[str]) -> None:
    """A few pleasantries between pieces of work never add up."""
    lines = [line for i in range(4) for line in (thanks[i], work[3 * i], work[3 * i + 1], work[3 * i + 2])]
    assert set(talk(Guard(), lines)) == {Action.ALLOW}


def test_a_turn_of_the_user_resets_it() -> None:
    """What the person says is new input: the evidence begins anew."""
    guard = Guard()
    talk(guard, THANKS[:4])
    question = "Could you also price the northern route by sledge through Kiruna?"
    guard.observe(Message("c", "customer", "ann", content=question, role="user"))
    assert set(talk(guard, THANKS[4:6])) == {Action.ALLOW}


def test_one_agent_alone_confirms_with_nobody() -> None:
    """The code needs two who confirm to each other; a monologue is the business of other detectors."""
    guard = Guard()
    for line in THANKS:
        guard.observe(Message("c", "ann", content=line))
    assert guard.decision("c").code != "AB201"
