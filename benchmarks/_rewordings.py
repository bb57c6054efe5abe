"""Seeded conversations for the second stage: loops that are worded anew each time, and honest work that sounds alike.

The loops say one thing for ever, and no sentence comes twice: each was written by hand, with words that are rare in
the language, so that every message counts as new to a statistic of words.  The honest ones are what they are
mistaken for: reports of progress, with and without figures, reviews, stand-ups.  A conversation opens with the same
kind of work in all cases; in half of the loops, and in half of the honest ones, every message names the matter at
hand, as that alone makes messages similar.  Nothing here is random from run to run.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from agentbreaker import Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["HONEST", "LOOPS", "Conversation", "conversations"]

#: Loops, by what they say again and again.  ``{task}`` is the matter at hand.
_AGREE = """
Splendid, we are wholly of one mind on {task}; nothing remains to be haggled over.
Our verdicts on {task} dovetail, so I see no crumb left to sweep up.
I second that without a quibble: {task} is squared away.
Unanimity it is, then, and {task} can be filed under finished business.
You voiced precisely my sentiment, {task} has reached its harbour.
Consider my signature under it: {task} wants no further polish.
Not a whisper of dissent from my corner about {task}.
Hear, hear! The chapter on {task} may be shut.
We evidently converged on {task}, and I toast to that concord.
My nod comes wholeheartedly, since {task} is tidied to the last thread.
What a harmonious outcome; I would not alter a comma of {task}.
Aye, the curtain has fallen on {task}, and rightly so.
I echo your judgement to the letter, {task} is in the bag.
Concurring fully here, for {task} ticks every box we drew.
Agreed on all counts, and kudos for shepherding {task} ashore.
There is no daylight between our opinions of {task}.
Indeed, the ink on {task} is dry, and I am contented.
I wholeheartedly endorse that conclusion, {task} stands as it is.
Marvellous, so we both deem {task} complete and can rest easy.
Your reading of {task} is mine as well, down to the footnotes.
Affirmative from this side too; {task} leaves nothing to be desired.
I could not have phrased it more aptly, {task} is a wrap.
Consensus achieved, gratitude exchanged, {task} settled for good.
Likewise delighted: {task} is sealed, and our accord is ironclad.
Ditto, my friend, {task} earns my unreserved approval.
No objections dwell in me, {task} has come full circle.
"""
_STUCK = """
I keep bumping into the same locked gate: {task} cannot move without the credentials.
Still marooned, I am afraid; the credentials for {task} are nowhere to be had.
{task} stays frozen, for the access I was promised has not materialised.
The impasse persists, and lacking a key I can merely stare at {task}.
Once more I come back empty-handed, {task} refuses to admit me.
Alas, the drawbridge to {task} is up, and nobody lowers it.
My hands are tied as before: without permission {task} is out of reach.
I am spinning my wheels, as {task} demands a login that I do not possess.
There is a wall around {task}, and I have no ladder, that is to say, no password.
No headway whatsoever, the authorisation for {task} is still outstanding.
The bouncer at {task} turns me away each time for want of a pass.
I remain stranded outside {task}; somebody must grant me entry.
It is the identical snag: {task} is barred to my account.
Regrettably the stalemate around {task} continues, my token being absent.
I find myself shut out of {task} yet again, for lack of clearance.
Nothing budges: {task} is sealed off until I am let in.
The obstacle has not evaporated, {task} denies me admittance.
I would love to proceed with {task}, were it not for the missing rights.
As ever, {task} is hostage to an approval that does not arrive.
My knocking at the door of {task} goes unheeded, I lack the secret.
Deadlock endures; {task} insists on privileges beyond mine.
I am obliged to idle, because {task} is fenced in and I hold no permit.
Same predicament here, {task} is inaccessible to the likes of me.
We are no further: the vault of {task} ignores my pleas for want of a code.
I languish at the threshold of {task}, unable to authenticate.
The barrier is unaltered, and so {task} lies fallow until access is bestowed.
"""
_YOUR_TURN = """
The ball is in your court regarding {task}, kindly take it from here.
I gladly relinquish {task} to you; steer it wherever you deem fit.
Over to you, maestro, {task} awaits your baton.
Please shoulder {task} now, I shall watch from the bleachers.
After you! I would not dream of pre-empting you on {task}.
Let me yield the floor, since {task} belongs in your capable hands.
It is your move on this chessboard, {task} is all yours.
I defer to your expertise and bequeath {task} to you.
Would you be so gracious as to pick up {task} at this juncture?
The torch passes to you; may {task} prosper under your guidance.
Kindly grab the reins of {task}, I have vacated the saddle.
I step aside, so that {task} may continue at your discretion.
Yours is the next stride in {task}, I shall tarry meanwhile.
Do proceed with {task} as you see fit, I am all ears.
I hereby return {task} to your desk with my compliments.
You take the helm of {task}, captain, I am merely crew.
The stage is vacant for you, and {task} craves its protagonist.
Pray continue with {task}; I will gladly follow your lead.
I entrust {task} to you once more, being confident in your prowess.
Please carry the baton of {task} through the subsequent leg.
I cede {task} with pleasure, whenever you feel inclined.
Your initiative is what {task} longs for, so go right ahead.
Handing the parcel back: {task} rests on your shoulders now.
The honour of advancing {task} falls to you, dear colleague.
I shall hold my horses while you attend to {task}.
Be my guest and tackle {task}, my calendar bows to yours.
"""
_SOON = """
Rolling up my sleeves for {task}, I shall commence imminently.
I am on the verge of embarking upon {task}, bear with me.
Any minute now I will plunge headlong into {task}.
My engines are warming, and {task} is next on the runway.
Rest assured that {task} will be broached in a jiffy.
I intend to dive into {task} forthwith, just let me gather my wits.
{task}? It is at the top of my agenda, I am about to kick off.
Shortly I shall unleash my full attention upon {task}.
Preparing to get cracking on {task}, the moment is nigh.
I am poised at the starting blocks for {task}, waiting to sprint.
Give me an instant and {task} will be under way.
The groundwork in my head is laid, {task} shall be initiated presently.
I pledge to inaugurate {task} before long, hang tight.
Just sharpening my pencils, then {task} gets my undivided zeal.
Momentarily I will turn to {task}, have a little patience.
It will not be long until I set {task} in motion, you have my word.
I am girding my loins for {task}, departure is near.
Lacing up my boots, the expedition into {task} begins anon.
Soon, very soon, {task} shall see the first swing of my hammer.
I am mustering the energy for {task} and will launch in a twinkling.
Expect me to tackle {task} without further ado, once I am settled.
The kettle is on, and as soon as it whistles I shall undertake {task}.
My resolve is firm: {task} is going to be started straight away.
I am itching to commence {task} and will do so directly.
All systems nearly go, {task} is about to lift off.
Let me just clear my throat, whereupon {task} will be begun.
"""
_PRAISE = """
Bravo to this crew, what a joy to sail {task} with you.
I must applaud the dexterity with which everybody handled {task}.
Rarely have I witnessed such esprit de corps as around {task}.
You all shine like a constellation over {task}.
My hat is off to the ingenuity poured into {task}.
It warms my heart how gracefully we waltz through {task}.
Such camaraderie! {task} brings out the finest in us.
The synergy among us on {task} is nothing short of magnificent.
I am humbled by the brilliance you bestow upon {task}.
What a stellar ensemble we make on {task}.
Your tenacity around {task} inspires awe in me.
Long may this fellowship of {task} flourish!
I feel privileged to stand beside such virtuosos on {task}.
Our chemistry on {task} deserves a standing ovation.
Every one of you is a gem, and {task} glitters for it.
Words fail me in lauding your devotion to {task}.
With comrades of this calibre {task} is a delight.
Here is to us, the dream team of {task}!
The elegance of your efforts on {task} dazzles me.
I cherish each minute of our alliance over {task}.
Such passion, such flair: {task} has found its champions.
You have outdone yourselves on {task}, I am spellbound.
Three cheers for the wizards behind {task}.
I salute the unflagging spirit with which we treat {task}.
Our rapport on {task} is the stuff of legends.
May the trumpets sound for everybody who touched {task}.
"""
_MUSING = """
Before anything else we ought to contemplate {task} holistically.
One should ponder the broader panorama that surrounds {task}.
It behoves us to adopt a nuanced outlook upon {task}.
Perhaps a multi-pronged strategy would serve {task} well.
Let us ruminate on the manifold facets of {task}.
A judicious framework for {task} might be worth envisioning.
We could deliberate further on what {task} truly signifies.
The essence of {task} lies in balancing its various dimensions.
Surely {task} merits a thoughtful and comprehensive approach.
I wonder whether we might view {task} through a wider lens.
It is vital that we align our perspectives on {task}.
There are doubtless many angles from which to regard {task}.
Reflecting more deeply, {task} calls for equilibrium and foresight.
We had better cultivate a shared vision of {task}.
A roadmap for contemplating {task} could prove beneficial.
In principle {task} invites a synthesis of diverse viewpoints.
Let us keep an open mind towards the subtleties of {task}.
The contours of {task} warrant meticulous consideration.
Strategically speaking, {task} should be embraced in its totality.
I believe {task} beckons us to think outside the box.
It may be prudent to revisit our philosophy regarding {task}.
Ideally {task} would be approached with both rigour and imagination.
Our mindset on {task} ought to remain agile and inclusive.
What matters in {task} is the interplay of its ingredients.
We might brainstorm how to conceptualise {task} in due course.
Fundamentally {task} hinges upon a well-rounded understanding.
"""
_AGREE_ZH = """
太好了,关于{task}我们的看法完全吻合,没有什么可争论的了。
您说得极是,{task}至此圆满落幕。
鄙人毫无异议,{task}可以盖棺定论。
英雄所见略同,{task}就这么敲定吧。
我由衷赞成,{task}已经无懈可击。
咱们不谋而合,{task}算是尘埃落定。
这番总结深得我心,{task}不必再添一笔。
点头称是,{task}的篇章可以合上了。
与您共鸣,{task}堪称完璧归赵。
我举双手拥护,{task}已然大功告成。
果然默契十足,{task}再无悬念。
无可挑剔,{task}到此画上句点。
心悦诚服,{task}就依您的高见。
双方意见水乳交融,{task}皆大欢喜。
我亦作如是观,{task}业已收官。
岂敢反对,{task}十全十美。
您的判断一针见血,{task}确实完工了。
同感同感,{task}可以高枕无忧。
欣然附议,{task}没有遗漏之处。
彼此心照不宣,{task}已告一段落。
"""
_YOUR_TURN_ZH = """
接力棒交到您手里了,{task}请继续推进。
恭候您出手,{task}就拜托了。
球在贵方脚下,{task}由您定夺。
在下先行让贤,{task}请您挥毫。
烦请移步主持{task},我洗耳恭听。
该您登场了,{task}翘首以盼。
我把缰绳递给您,{task}任凭驰骋。
{task}悉听尊便,我静候佳音。
请君先行一步,{task}我随后跟上。
权杖归您,{task}唯您马首是瞻。
劳驾接管{task},我暂且歇息。
舞台已为您腾空,{task}等待主角。
下一着棋轮到您,{task}悬而待决。
恳请您掌舵,{task}才好扬帆。
{task}原封不动奉还,盼您斟酌。
我退居幕后,{task}仰仗您了。
您先请,{task}我绝不抢跑。
钥匙搁在您案头,{task}随时开启。
把话筒递给您,{task}愿闻其详。
{task}重担落在您肩上,有劳费心。
"""

#: Honest work.  Threads in order, each message a step of the same job, some worded like a confirmation.
_PROSE_REPORTS = (
    """
Good, the login form is done: it now checks the address before anything is sent.
Done, the password reset is finished as well, and the link expires after use.
Agreed, and I have moved the session cookie to the strict mode that you asked for.
The logout button works on every page now, including the archive.
Finished the lockout: repeated wrong passwords block the account for a while.
The error messages no longer reveal whether an address exists.
Great, single sign-on with the company directory is connected and works for the test group.
The administrators can now see failed attempts in the audit view.
I have translated the form into German, the Dutch text is with the agency.
The screen reader announces the errors now, the labels were missing.
The old form is removed, the redirect from its address is in place.
Completed the load test, the bottleneck was the hashing and it now runs in a worker.
The rollout to the pilot customers is through, two of them asked for a remember-me box.
The remember-me box is in, it keeps the device for a month.
""",
    """
Confirmed, the roof inspection is complete and the slates on the north side are sound.
The gutters are cleared too, there was a nest in the downpipe.
I have replaced the cracked pane in the skylight.
The chimney has been swept and the cowl is tight again.
Insulation in the loft is laid, the hatch got a seal.
The electrician has finished the upper floor and labelled the fuses.
The boiler has been serviced, the expansion vessel had lost its pressure.
Plaster in the stairwell is patched and dry.
The carpenter hung the two doors, the cellar door needs a wider frame.
The cellar frame is widened, the door closes.
Tiles in the bathroom are grouted, the silicone goes in tomorrow.
Silicone is in, the shower can be used from the weekend.
The garden wall has been pointed and the gate painted green.
The surveyor signed the handover, the neighbour wants the drain looked at.
""",
    """
Thanks, I have read the first interview: the nurses resent the double entry of medication.
The second interview is coded, handover at night is the main complaint.
Done with the third, the pharmacist blames the fax machine rather than the software.
Interview four contradicts that, she says the labels are printed too late.
I have merged the codes for delay and waiting, they meant the same.
The fifth person never used the tablet, so I excluded her answers on usability.
Good news, the ward manager agreed to share the rota for comparison.
The rota shows that delays pile up on Mondays, when the locums start.
I checked the locums' training: nobody shows them the dispensing cabinet.
The sixth interview confirms it, he learnt the cabinet from a porter.
The theme of improvised training now has its own chapter.
The ethics board accepted our anonymisation, ages are given as ranges.
The draft of the findings is written, the quotations still need consent.
Consent has come in from all but the pharmacist, whose quotation I paraphrased.
""",
    """
Understood, the parser now accepts comments at the end of a line.
Nested lists are parsed as well, the recursion became a stack.
Quoted keys work, and a stray backslash gives a proper error.
I fixed the column in the error messages, tabs had been counted once.
The lexer no longer copies the input for each token.
Unicode escapes are decoded, surrogates are refused.
Done, multi-line strings keep their inner indentation.
The formatter prints what the parser read, the round trip is tested.
Merged the fuzzer, it found a hang in unclosed brackets.
The hang is gone, unclosed brackets are reported where they open.
Dates without a time zone are read as local, with a warning.
The benchmark shows that interning the keys halves the memory.
Interning is in, the cache is bounded.
The documentation has a chapter on errors, each with an example.
""",
    """
Fine, the venue is booked, the old brewery by the canal.
The caterer confirmed the vegetarian menu and asks about allergies.
Allergies are collected, there is one coeliac and two with nuts.
The keynote speaker accepted, she will talk about tidal power.
I reserved the projectors, the brewery only has an overhead.
The badges are at the printer, with the pronouns on the back.
Done, the shuttle from the station runs until midnight.
The sign language interpreter is hired for both days.
The second keynote declined because of a trial in Leeds.
A replacement is found, the head of the flood agency.
The insurance wants a steward on the quay, I asked the rowing club.
The rowing club sends four stewards in return for a stand.
The programme is printed, the poster session moved to the malt loft.
All posters have a place, the longest needs two boards.
""",
    """
Yes, the soil samples from the lower meadow are dried and sieved.
The acidity is measured, the meadow is more acid than the wood.
I have finished the counts of earthworms, there are hardly any near the road.
Lead explains that: the roadside cores are contaminated.
Done with the moss cover, it follows the shade of the hedge.
The hedge was planted after the war, according to the parish map.
The aerial pictures show a ditch that the map omits.
We found the ditch, it is filled with clay and bricks.
The bricks come from the kiln at the mill, says the stamp.
Pollen from the clay is under the microscope, mostly alder.
Alder means that the meadow was wet before the drainage.
The drainage deed turned up in the county archive.
I compared the deed with our cores, the dates agree.
The draft goes to the landscape trust, who asked for a shorter summary.
""",
)
_REVIEWS = """
Looks good so far; in the loader the file handle leaks when the header is broken.
Thanks, fixed. Next, the cache key leaves out the locale, so Germans see French prices.
Agreed. The retry in the mailer does not back off and hammers the relay.
Well spotted. The migration drops an index that the nightly export relies upon.
Please rename the flag, its negation reads as a double negative.
Done. The comparison of floats in the rounding test needs a tolerance.
Right. The lock is taken in the opposite order in the scheduler, which can deadlock.
Good catch. The template prints the comment unescaped, a visitor could inject markup.
Yes. The upload accepts archives whose entries climb out of the directory.
Approved that part. The pagination skips a row when one is deleted meanwhile.
Thank you. The fallback swallows the interrupt, the worker cannot be stopped.
I see. The timeout is given in milliseconds here, but the client expects seconds.
Fine now. The regular expression backtracks for ever on a long run of spaces.
Great. The docstring promises an iterator, the function returns a list.
Sure. The mock answers with a status that the real gateway never sends.
Ok. The daylight saving switch makes the report of that night count twice.
Correct. The counter overflows in the binding, as its column is only sixteen bits wide.
Nice. The feature toggle is read at import, hence tests influence one another.
True. Two subscribers mutate the same event, the second gets a half-empty cart.
Perfect. The avatar is scaled after the upload limit, huge pictures exhaust the memory.
Understood. The search treats an umlaut as two letters and misses half the names.
Makes sense. The certificate check is disabled in staging, please pin the authority instead.
Yes, better. The webhook is acknowledged before it is stored, a crash loses the order.
Happy with that. The tooltip hides the submit button on narrow phones.
Good. The seed of the shuffle is the clock, so the failing draw cannot be repeated.
All right. The log holds the card number, it must be masked before the line is written.
"""
_STANDUPS = """
{sender}: yesterday the invoice totals, today the credit notes; nothing blocks me.
{sender}: the crawler respects robots files now, today I teach it sitemaps.
{sender}: finished the map tiles, today the legend; I need the palette from design.
{sender}: palette sent, today I draw the icons for the ferry lines.
{sender}: the ferry timetable imports cleanly, today the holidays.
{sender}: Whit Monday was missing, it is in; today the strike notices.
{sender}: strike notices arrive by mail, I parse the attachment today.
{sender}: the attachment is a scan, so today I compare two readers of print.
{sender}: the second reader wins on faded paper, today I wire it in.
{sender}: wired in, the queue was too small; today the alerting.
{sender}: alerts go to the harbour office, today the on-call plan.
{sender}: plan agreed with the union, today the vacation rule.
{sender}: vacation rule merged, today I look at the flaky browser test.
{sender}: it was a font that loads late, today the print style.
{sender}: print style done, today the archive of last season's tariffs.
{sender}: tariffs archived, the checksum differs for the islands; I ask their office.
{sender}: the islands had a decimal comma, fixed; today the commuter passes.
{sender}: passes are issued in the sandbox, today the refund path.
{sender}: refunds work, today the letter to the auditors.
{sender}: the auditors want the rounding documented, I write that today.
{sender}: rounding documented, today I pair with the newcomer on the simulator.
{sender}: the simulator reproduces the fog incident, today the regression test.
{sender}: regression test is in, today the release notes.
{sender}: release notes are out, today I answer the ferry company's questions.
"""
_REPORTS_ZH = """
好的,登录表单已完成,提交前会校验邮箱。
密码重置也做好了,链接用过即失效。
退出按钮现在每个页面都能用,包括归档页。
锁定功能完成:连续输错密码会暂停账户。
报错信息不再透露邮箱是否存在。
单点登录已接通公司目录,测试组可以使用。
管理员现在能在审计视图里看到失败记录。
表单译成了德语,荷兰语稿还在翻译社。
读屏软件现在会念出错误,原先缺少标签。
旧表单已删除,跳转也配置好了。
压力测试结束,瓶颈在哈希计算,已移到后台进程。
试点客户上线完毕,其中两家想要“记住我”选项。
“记住我”选项已加入,设备保留一个月。
隐私声明按法务的意见改写,增加了撤回同意的步骤。
短信验证码换了供应商,海外号码也能收到。
日志里的手机号已经打码,旧日志做了清洗。
双因素认证支持硬件密钥,说明书配了图。
注册页的验证码改为无障碍版本,盲人用户可以通过。
监控面板新增登录耗时曲线,凌晨有尖峰。
尖峰来自备份任务,已错开到午后。
"""
_TASKS = (
    "the invoice import",
    "the login page",
    "the quarterly report",
    "the sensor calibration",
    "the travel plan",
    "the customer survey",
    "the tariff table",
    "the archive migration",
)
_TASKS_ZH = ("发票导入", "登录页面", "季度报告", "传感器校准", "差旅计划", "客户调查", "资费表", "归档迁移")
_TEAMS = (
    ("planner", "coder"),
    ("ann", "bob", "cy"),
    ("lead", "writer", "editor", "checker"),
)
_OPENING = (
    "Let us begin with {task}. The source is the export of last Tuesday, {a} records in {b} files.",
    "I looked into {task}: {a} of the records have no postcode, and {b} are duplicates by their number.",
    "The duplicates in {task} come from a rerun on the {b}th; I keep the later of each pair and drop {a}.",
    "With that {task} has {a} clean records; the check against the ledger leaves a difference of {b} euros.",
)
_OPENING_ZH = (
    "先看{task}。来源是上周二的导出,共{a}条记录,{b}个文件。",
    "我查过{task}:有{a}条缺邮编,{b}条编号重复。",
    "{task}的重复来自{b}号的重跑,每对保留较新的一条,共删去{a}条。",
    "这样{task}剩下{a}条干净记录,与总账核对还差{b}元。",
)
_FIGURE_REPORTS = (
    "Batch {n} of {task} is through: {a} rows accepted, {b} rejected.",
    "Good, batch {n} is done as well, {a} rows in {b} seconds.",
    "Batch {n} finished: {b} rejects out of {a}, all because of the currency.",
    "Done with batch {n}, {a} rows; the ledger now differs by {b} euros.",
)


class Conversation(NamedTuple):
    """One seeded conversation.

    Attributes:
        name: Kind of the conversation, a key of :data:`LOOPS` or :data:`HONEST`.
        messages: All messages, in order.
        onset: Index of the first message that brings nothing new; ``None`` for honest work.
    """

    name: str
    messages: list[Message]
    onset: int | None


def _lines(block: str) -> list[str]:
    return block.strip().splitlines()


#: The loops by name: sentences, and whether they are Chinese.
LOOPS = {
    "agreeing": (_lines(_AGREE), False),
    "stuck": (_lines(_STUCK), False),
    "your turn": (_lines(_YOUR_TURN), False),
    "about to start": (_lines(_SOON), False),
    "praising": (_lines(_PRAISE), False),
    "musing": (_lines(_MUSING), False),
    "agreeing, Chinese": (_lines(_AGREE_ZH), True),
    "your turn, Chinese": (_lines(_YOUR_TURN_ZH), True),
}
#: The honest work by name.
HONEST = ("reports in prose", "reports with figures", "review", "stand-up", "reports, Chinese")


def conversations(name: str, count: int, *, seed: int = 1) -> Iterator[Conversation]:
    """Make `count` conversations of one kind.

    Args:
        name: A key of :data:`LOOPS` or :data:`HONEST`.
        count: How many.
        seed: Another seed, other conversations.
    """
    for number in range(count):
        rng = random.Random(f"{name}/{seed}/{number}")
        team = rng.choice(_TEAMS)
        chinese = name.endswith("Chinese")
        task = rng.choice(_TASKS_ZH if chinese else _TASKS)
        opening = _fill(_OPENING_ZH if chinese else _OPENING, rng, task)
        body = _looping(name, rng, task) if name in LOOPS else _honest(name, rng, task, team)
        texts = [*opening, *body]
        conversation_id = f"{name} {number}"
        messages = [
            Message(conversation_id, team[turn % len(team)], team[(turn + 1) % len(team)], content=text)
            for turn, text in enumerate(texts)
        ]
        yield Conversation(name, messages, len(opening) if name in LOOPS else None)


def _looping(name: str, rng: random.Random, task: str) -> list[str]:
    sentences, chinese = LOOPS[name]
    if not rng.getrandbits(1):
        task = "此事" if chinese else "it"
    said = rng.sample(sentences, len(sentences))
    return [_capital(sentence.format(task=task)) for sentence in said]


def _honest(name: str, rng: random.Random, task: str, team: Sequence[str]) -> list[str]:
    body = _work(name, rng, task, team)
    if rng.getrandbits(1):
        return body
    return [f"{_capital(task)}: {text}" for text in body]


def _work(name: str, rng: random.Random, task: str, team: Sequence[str]) -> list[str]:
    if name == "reports in prose":
        return _lines(rng.choice(_PROSE_REPORTS))
    if name == "review":
        return rng.sample(_lines(_REVIEWS), 24)
    if name == "stand-up":
        # A stand-up tells its days in order, from any day on.
        lines = _lines(_STANDUPS)
        start = rng.randrange(len(lines) - 15)
        return [line.format(sender=team[turn % len(team)].capitalize()) for turn, line in enumerate(lines[start:])]
    if name == "reports, Chinese":
        return _lines(_REPORTS_ZH)
    start = rng.randrange(2, 9)
    return [
        rng.choice(_FIGURE_REPORTS).format(
            n=start + step, task=task, a=rng.randrange(120, 9000), b=rng.randrange(2, 99)
        )
        for step in range(20)
    ]


def _fill(templates: Sequence[str], rng: random.Random, task: str) -> list[str]:
    return [template.format(task=task, a=rng.randrange(120, 9000), b=rng.randrange(3, 28)) for template in templates]


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
