"""Honest work talk: what is said keeps bringing facts, figures, names, files, causes and decisions."""

from __future__ import annotations

import random
import re

from _grammar import expand, pool, seeded

__all__ = ["Chatter", "Work"]

_ONSETS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "qu",
    "r",
    "s",
    "sk",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
]
_VOWELS = ["a", "e", "i", "o", "u", "ae", "ai", "ea", "io", "ou", "y"]
_CODAS = ["", "n", "r", "l", "x", "m", "th", "s", "nd", "rk", "lt", "v"]
_CODES_EN = ("HTTP {a}", "E{b}", "ERR_{c}", "error {b}", "exit status {d}", "SQLSTATE {b}")
#: Sentences after which a long piece of work comes to another subject; share of sentences that bring up a side matter.
_EPISODE = 80
_ASIDES = 0.1
_UNITS = {"en": (" hours", " minutes", " seconds", " milliseconds"), "zh": ("小时", "分钟", "秒", "毫秒")}


class Work:
    """One project: its domain, people, companies, files and numbers, all drawn from the seed.

    Words are drawn with a bias to the front of a list that was shuffled for this project, so that a few are common
    and most are rare, as in real talk about one thing.
    """

    def __init__(self, lang: str, seed: object, domain: str | None = None) -> None:
        self.lang = lang
        self.rng = seeded("work", lang, seed)
        words = pool(f"words_{lang}")
        self.domain = domain or self.rng.choice(words["domains"])
        self._words: dict[str, list[str]] = {}
        self._recent: dict[str, list[str]] = {}
        self._sentences = 0
        self._learn("", self.domain)
        self.people = [self._person() for _ in range(24)]
        self.companies = [self._company() for _ in range(14)]
        self.products = [self._product() for _ in range(20)]

    def _learn(self, *domains: str) -> None:
        """Take up the words of these domains."""
        words = pool(f"words_{self.lang}")
        for section in words:
            name, _, domain_of = section.partition(".")
            if domain_of in domains:
                entries = list(words[section])
                self.rng.shuffle(entries)
                self._words[name] = entries
                self._recent.pop(name, None)

    def move_on(self) -> None:
        """Long work does not stay with one thing: another part of the business, other people."""
        self._learn(self.rng.choice(pool(f"words_{self.lang}")["domains"]))
        self.people[:6] = [self._person() for _ in range(6)]
        self.companies[:4] = [self._company() for _ in range(4)]
        self.products[:5] = [self._product() for _ in range(5)]

    # -- what a caller asks for

    def sentence(self, *intents: str) -> str:
        """One sentence of one of the intents."""
        rng = self.rng
        self._sentences += 1
        if self._sentences % _EPISODE == 0:
            self.move_on()
        intent = rng.choice(intents or ("finding", "decision", "objection", "done"))
        if intent not in ("answer", "opening", "short") and rng.random() < _ASIDES:
            intent = "aside"
        templates = pool(f"talk_{self.lang}")[intent]
        text = expand(rng.choice(templates), rng, self)
        return text[:1].upper() + text[1:]

    def message(self, sentences: int, *intents: str) -> str:
        """Several sentences."""
        return ("" if self.lang == "zh" else " ").join(self.sentence(*intents) for _ in range(sentences))

    def topic(self) -> str:
        """A thing of the project in two or three words."""
        glue = "" if self.lang == "zh" else " "
        return self.fill("mod") + glue + self.fill("noun")

    def name(self) -> str:
        """A full name of somebody in the project."""
        return self.rng.choice(self.people)

    # -- slots

    def fill(self, name: str) -> str:
        """Fill one slot of a template."""
        special = getattr(self, f"_slot_{name}", None)
        if special is not None:
            return str(special())
        if name.endswith("_c"):
            text = self.fill(name[:-2])
            return text[:1].upper() + text[1:]
        entries = self._words[name]
        recent = self._recent.setdefault(name, [])
        for _ in range(4):
            entry = entries[int(len(entries) * self.rng.random() ** 1.6)]
            if entry not in recent:
                break
        if recent and entry == recent[-1]:
            # Nobody decides to do first one thing and then the same thing.
            entry = next(other for other in entries if other not in recent)
        recent.append(entry)
        del recent[: -max(2, len(entries) // 3)]
        return entry

    def _number(self, low: int, high: int) -> int:
        return int(low * (high / low) ** self.rng.random())

    def _slot_int1(self) -> int:
        return self.rng.randint(2, 9)

    def _slot_int2(self) -> int:
        return self.rng.randint(11, 96)

    def _slot_int3(self) -> int:
        return self._number(101, 990)

    def _slot_int4(self) -> str:
        return str(self._number(1010, 48000))

    def _slot_dec(self) -> str:
        return f"{self._number(1, 900) / self.rng.choice((10, 100, 100)):g}"

    def _slot_pct(self) -> str:
        return f"{self.rng.randint(1, 97)}" + ("%" if self.lang == "zh" or self.rng.random() < 0.5 else " percent")

    def _slot_money(self) -> str:
        amount = self._number(40, 90000)
        if self.lang == "zh":
            return f"{amount}元" if amount < 20000 else f"{amount / 10000:.1f}万元"
        return f"{amount:,} " + self.rng.choice(("euro", "dollars", "EUR", "USD"))

    def _slot_seconds(self) -> str:
        return f"{self.rng.randint(2, 90)}{_UNITS[self.lang][2]}"

    def _slot_ms(self) -> str:
        return f"{self._number(12, 950)}{_UNITS[self.lang][3]}"

    def _slot_hours(self) -> str:
        return f"{self.rng.randint(2, 30)}{_UNITS[self.lang][self.rng.randint(0, 1)]}"

    def _slot_size(self) -> str:
        return f"{self._number(3, 900)} {self.rng.choice(('KB', 'MB', 'GB'))}"

    def _slot_ordinal(self) -> str:
        return self.rng.choice(
            ["second", "third", "fourth", "fifth", "seventh", "tenth", "twelfth", "fiftieth", "hundredth"]
        )

    def _slot_clock(self) -> str:
        return f"{self.rng.randint(6, 22)}:{self.rng.randint(0, 59):02d}"

    def _slot_date(self) -> str:
        if self.lang == "zh":
            return f"{self.rng.randint(1, 12)}月{self.rng.randint(1, 28)}日"
        return f"{self.rng.randint(1, 28)} {self.fill('month')}"

    def _slot_first(self) -> str:
        return self.name().split()[0]

    def _slot_last(self) -> str:
        return self.name().split()[-1]

    def _slot_person(self) -> str:
        return self.name()

    def _slot_company(self) -> str:
        return self.rng.choice(self.companies)

    def _slot_product(self) -> str:
        return self.rng.choice(self.products)

    def _slot_version(self) -> str:
        return f"{self.rng.randint(0, 9)}.{self.rng.randint(0, 24)}.{self.rng.randint(0, 14)}"

    def _slot_hash(self) -> str:
        return f"{self.rng.getrandbits(28):07x}"

    def _slot_host(self) -> str:
        return f"{self._syllables(2)}-{self.rng.randint(1, 40):02d}"

    def _slot_lot(self) -> str:
        return f"{self.rng.choice('ABCDEFGHKLMNPRSTUVW')}{self.rng.randint(10, 999)}"

    def _slot_bin(self) -> str:
        return f"{self.rng.choice('ABCDEFGH')}-{self.rng.randint(1, 60):02d}-{self.rng.randint(1, 9)}"

    def _slot_sec(self) -> str:
        return f"{self.rng.randint(1, 19)}.{self.rng.randint(1, 9)}"

    def _slot_ref(self) -> str:
        return self.rng.choice(("PR {n}", "ticket {n}", "#{n}", "change {n}")).format(n=self._number(120, 9900))

    def _slot_code(self) -> str:
        return self.rng.choice(_CODES_EN).format(
            a=self.rng.choice((301, 401, 403, 404, 409, 411, 422, 429, 500, 502, 503, 504)),
            b=self.rng.randint(1000, 9999),
            c=self._syllables(2).upper(),
            d=self.rng.randint(2, 139),
        )

    def _identifiers(self) -> list[str]:
        if self.lang == "zh":
            return [self._syllables(self.rng.randint(1, 2)) for _ in range(2)]
        return [re.sub(r"[^a-z]", "", word) for word in self.fill("noun").lower().split()[:2]]

    def _slot_column(self) -> str:
        tail = self.rng.choice(
            ["id", "at", "code", "total", "flag", "type", "ref", "rate", "count", "key", "name", "state"]
        )
        return "_".join([*self._identifiers(), tail])

    def _slot_func(self) -> str:
        verb = self.rng.choice(
            [
                "load",
                "parse",
                "merge",
                "flush",
                "resolve",
                "build",
                "open",
                "verify",
                "collect",
                "apply",
                "render",
                "split",
            ]
        )
        return "_".join([verb, *self._identifiers()]) + "()"

    def _slot_env(self) -> str:
        return "_".join([*self._identifiers(), self.rng.choice(("limit", "url", "mode", "ttl"))]).upper()

    def _slot_file(self) -> str:
        ending = self.rng.choice(["py", "yaml", "csv", "sql", "toml", "md", "json", "ts", "xlsx", "log", "docx"])
        return "_".join([*self._identifiers(), self._syllables(1)]) + f".{ending}"

    def _slot_action_past(self) -> str:
        return "the step to " + self.fill("action")

    def _slot_symptom_short(self) -> str:
        return self.fill("symptom")

    # -- invented names

    def _syllables(self, count: int) -> str:
        rng = self.rng
        return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count))

    def _person(self) -> str:
        rng = self.rng
        if self.lang == "zh":
            return rng.choice(self._words["surname"]) + rng.choice(self._words["given"])
        return f"{rng.choice(self._words['first'])} {rng.choice(self._words['last'])}"

    def _company(self) -> str:
        rng = self.rng
        if self.lang == "zh":
            brands = self._words["brand"]
            return (
                rng.choice(brands) + rng.choice(brands) + rng.choice(("科技", "物流", "集团", "贸易", "电子", "实业"))
            )
        tail = rng.choice(("", "", " GmbH", " Ltd", " AB", " Oy", " Partners", " Systems"))
        return self._syllables(2).capitalize() + tail

    def _product(self) -> str:
        if self.lang == "zh" and self.rng.random() < 0.5:
            brands = self._words["brand"]
            return self.rng.choice(brands) + self.rng.choice(brands) + str(self.rng.randint(2, 99))
        return self._syllables(2).capitalize() + self.rng.choice(("", "", f" {self.rng.randint(2, 900)}"))


class Chatter:
    """Talk that brings nothing: the same few things in ever other words."""

    def __init__(self, lang: str, rng: random.Random, topics: list[str]) -> None:
        self.lang = lang
        self.rng = rng
        self.topics = topics
        self.peer = ""
        self.query = ""

    def fill(self, name: str) -> str:
        """Fill a slot: the topic, the addressed peer, a query, or a section of the pool."""
        if name == "topic":
            return self.rng.choice(self.topics)
        if name == "peer":
            return self.peer
        if name == "query":
            return self.query
        return self.rng.choice(pool(f"empty_{self.lang}")[name])

    def say(self, peer: str, *registers: str, sentences: int = 0) -> str:
        """One message of one to four sentences; each of one of the registers, mostly the first."""
        self.peer = peer
        rng = self.rng
        count = sentences or rng.choice((1, 1, 2, 2, 2, 3, 4))
        chosen = [registers[0]] + [rng.choice(registers) for _ in range(count - 1)]
        parts: list[str] = []
        for register in chosen:
            text = expand(rng.choice(pool(f"empty_{self.lang}")[register]), rng, self)
            text = text[:1].upper() + text[1:]
            if text not in parts:
                parts.append(text)
        return ("" if self.lang == "zh" else " ").join(parts)
