"""Texts of many kinds, on which the estimate of tokens is held against real tokenizers.

The estimate was made with other texts; only its figures for Chinese were chosen with these in view.
"""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "English prose": (
        "The committee met twice in March and once in April. It agreed that the harbour wall should be repaired before "
        "the winter storms, although two members thought the estimate of the engineers far too generous. Nobody "
        "objected to the new lighthouse, which had been promised for eleven years and paid for in nine of them.",
        "Our quarterly revenue grew by 14.2% to $3.8 million, mainly because of renewals in the Nordic region. Churn "
        "fell from 2.9% to 2.1%. We expect operating costs to rise in the second half as three engineers and a support "
        "lead join the Lisbon office; the board has approved the additional budget.",
        "When she opened the letter, there was nothing in it but a pressed leaf and a number. “Seventeen,” she said "
        "aloud. Seventeen what? Steps, days, mistakes? She turned the envelope over, held it to the lamp, and laughed: "
        "it was the page of the almanac on which, years ago, they had written down the name of the river.",
        "Photosynthesis converts carbon dioxide and water into glucose and oxygen. In the light-dependent reactions, "
        "chlorophyll absorbs photons and transfers electrons through a chain of proteins in the thylakoid membrane, "
        "which produces ATP and NADPH. The Calvin cycle then fixes carbon in the stroma.",
    ),
    "English chat": (
        "Looks good to me! Shall we go ahead?",
        "Thanks, I've updated the spreadsheet. Could you check rows 14 to 22 before I send it to finance?",
        "Hi Dana, the build is green again. The flaky test was caused by a timeout of 5 s; I raised it to 30.",
        "I don't have access to that repository. Please ask the platform team, or paste the error message here.",
        "Step 3 of 7 is done: the index was rebuilt in 42 minutes. Next I'll compare the row counts.",
    ),
    "Chinese prose": (
        "昨天下午，项目组在三楼会议室讨论了新系统的上线计划。大家一致认为，数据迁移的风险最大，应当先在测试环境中完整演练一遍，"
        "再决定是否按原定时间切换。财务部门希望在月底之前看到费用明细，特别是模型调用产生的开支。",
        "人工智能正在改变软件开发的方式。过去需要几个工程师花费数周才能完成的工作，现在往往可以在几天之内得到初步结果。"
        "但是，如果没有清晰的目标和有效的监督，多个智能体之间很容易陷入反复确认的循环，白白消耗大量资源。",
        "春天来了，院子里的桃花开得正好。爷爷搬了一把竹椅坐在树下，一边喝茶一边给孩子们讲从前的故事。"
        "风吹过来，花瓣落在他的肩上，他也不去拂，只是笑着说，这棵树比你们的父亲还要大几岁。",
        "本合同自双方签字盖章之日起生效，有效期为三年。任何一方如需提前终止合同，应当提前三十日以书面形式通知对方，"
        "并结清已经发生的全部费用。因不可抗力导致合同无法履行的，双方互不承担违约责任。",
    ),
    "Chinese chat": (
        "好的，我已经收到文件了，稍后给您答复。",
        "报告已经更新，请审核第三部分的数据，如果没有问题我就发给客户。",
        "非常感谢您的反馈！我们会在明天上午10点之前修复这个问题。",
        "部署失败了，日志里显示连接超时。我先把超时时间改成30秒，然后重新运行一次，您看可以吗？",
        "收到，没有其他问题。请继续执行下一步。",
    ),
    "Python": (
        "def merge(left: list[int], right: list[int]) -> list[int]:\n"
        '    """Merge two sorted lists."""\n'
        "    result, i, j = [], 0, 0\n"
        "    while i < len(left) and j < len(right):\n"
        "        if left[i] <= right[j]:\n"
        "            result.append(left[i])\n"
        "            i += 1\n"
        "        else:\n"
        "            result.append(right[j])\n"
        "            j += 1\n"
        "    return result + left[i:] + right[j:]\n",
        "class RateLimiter:\n"
        "    def __init__(self, capacity, refill_per_second, clock=time.monotonic):\n"
        "        self.capacity = capacity\n"
        "        self.refill_per_second = refill_per_second\n"
        "        self._clock = clock\n"
        "        self._tokens = float(capacity)\n"
        "        self._updated_at = clock()\n\n"
        "    def try_acquire(self, amount=1):\n"
        "        now = self._clock()\n"
        "        elapsed = now - self._updated_at\n"
        "        self._tokens = min(self.capacity, self._tokens + elapsed * self.refill_per_second)\n"
        "        self._updated_at = now\n"
        "        if self._tokens < amount:\n"
        "            return False\n"
        "        self._tokens -= amount\n"
        "        return True\n",
        "import asyncio\nimport json\nfrom pathlib import Path\n\n\n"
        "async def load_orders(folder: Path, *, limit: int | None = None):\n"
        "    for path in sorted(folder.glob('*.json'))[:limit]:\n"
        "        data = await asyncio.to_thread(path.read_text, 'utf-8')\n"
        "        try:\n"
        "            yield json.loads(data)\n"
        "        except json.JSONDecodeError as error:\n"
        "            print(f'{path.name}:{error.lineno}: {error.msg}')  # keep going\n",
        "df = (\n    sales.query('region != \"test\"')\n    .assign(month=lambda d: d['sold_at'].dt.to_period('M'))\n"
        "    .groupby(['region', 'month'], as_index=False)['amount']\n    .agg(['sum', 'mean', 'count'])\n)\n"
        "assert df['sum'].ge(0).all(), 'negative totals'\n",
    ),
    "JavaScript": (
        "export async function fetchUser(id, { signal, retries = 3 } = {}) {\n"
        "  for (let attempt = 0; attempt < retries; attempt++) {\n"
        "    const response = await fetch(`/api/users/${encodeURIComponent(id)}`, { signal });\n"
        "    if (response.ok) return response.json();\n"
        "    if (response.status === 404) return null;\n"
        "    await new Promise((resolve) => setTimeout(resolve, 2 ** attempt * 100));\n"
        "  }\n"
        "  throw new Error('user service unavailable');\n"
        "}\n",
        "const cart = new Map();\n\nfunction addToCart(product, quantity = 1) {\n"
        "  const entry = cart.get(product.id) ?? { ...product, quantity: 0 };\n"
        "  entry.quantity += quantity;\n  cart.set(product.id, entry);\n"
        "  document.querySelector('#cart-count').textContent = [...cart.values()]\n"
        "    .reduce((sum, item) => sum + item.quantity, 0);\n}\n",
        "import React, { useEffect, useState } from 'react';\n\n"
        "export default function Clock({ intervalMs = 1000 }) {\n"
        "  const [now, setNow] = useState(() => new Date());\n"
        "  useEffect(() => {\n    const timer = setInterval(() => setNow(new Date()), intervalMs);\n"
        "    return () => clearInterval(timer);\n  }, [intervalMs]);\n"
        '  return <time className="clock" dateTime={now.toISOString()}>{now.toLocaleTimeString()}</time>;\n}\n',
    ),
    "JSON": (
        '{"order_id": 48213, "customer": {"name": "Maria Jensen", "country": "DK"}, "items": [{"sku": "LAMP-02", '
        '"quantity": 2, "price": 39.9}, {"sku": "BULB-E27", "quantity": 4, "price": 5.5}], "paid": true, "note": null}',
        '{\n  "name": "web-shop",\n  "version": "2.4.1",\n  "private": true,\n  "scripts": {\n    "build": "vite build",\n'
        '    "test": "vitest run --coverage"\n  },\n  "dependencies": {\n    "react": "^19.0.0",\n'
        '    "zod": "~3.23.8"\n  }\n}',
        '{"type":"tool_result","tool":"search_flights","arguments":{"from":"OSL","to":"LIS","date":"2026-05-14"},'
        '"result":{"flights":[{"number":"TP763","departs":"06:05","arrives":"09:20","fare_eur":184},{"number":"DY1798",'
        '"departs":"13:40","arrives":"16:55","fare_eur":97}],"currency":"EUR","cached":false}}',
        '[{"id": 1, "title": "更新价格表", "state": "done"}, {"id": 2, "title": "核对库存数量", "state": "open"}, '
        '{"id": 3, "title": "给供应商发送邮件", "state": "blocked"}]',
        '{"timestamp": "2026-02-03T08:15:42.120Z", "level": "warning", "service": "billing", "message": "retrying '
        'payment", "attempt": 2, "latency_ms": 1834.5, "trace": {"sampled": false, "parent": null}}',
    ),
    "Markdown and logs": (
        "## Findings\n\n- **Latency** rose from 120 ms to 340 ms after the release.\n- The cache hit rate is 61 %.\n\n"
        "| endpoint | p50 | p99 |\n|---|---:|---:|\n| /search | 88 | 410 |\n| /checkout | 132 | 905 |\n\n"
        "Run `make profile` to see it yourself.\n",
        "2026-04-01 12:00:03,118 INFO  worker-3 started job 5521\n"
        "2026-04-01 12:00:09,870 WARN  worker-3 slow query (6.7 s): SELECT * FROM invoices WHERE paid = false\n"
        "2026-04-01 12:00:10,002 ERROR worker-3 ConnectionResetError: [Errno 104] Connection reset by peer\n",
        "请运行 `pip install -r requirements.txt`，然后执行 `python main.py --port 8080`。如果出现 ModuleNotFoundError，"
        "请检查 PYTHONPATH 是否包含 src 目录。\n",
    ),
    "Japanese": (
        "昨日の会議では、新しいシステムの公開時期について話し合いました。データの移行が一番難しいという意見が多く、"
        "まずテスト環境で試してから、予定通り進めるかどうかを決めることになりました。",
        "ご連絡ありがとうございます。資料を確認しましたが、特に問題はありませんでした。次の作業に進んでください。",
        "春になると、庭の桜がきれいに咲きます。祖父は木の下に椅子を置いて、お茶を飲みながら昔の話をしてくれました。",
    ),
    "Korean": (
        "어제 회의에서는 새로운 시스템의 출시 일정에 대해 논의했습니다. 데이터 이전이 가장 어렵다는 의견이 많아서 먼저 "
        "테스트 환경에서 시험한 뒤에 예정대로 진행할지 결정하기로 했습니다.",
        "연락 주셔서 감사합니다. 자료를 확인했고 특별한 문제는 없었습니다. 다음 단계로 진행해 주세요.",
        "봄이 되면 마당에 벚꽃이 예쁘게 핍니다. 할아버지는 나무 아래에 의자를 놓고 차를 마시며 옛날 이야기를 들려주셨습니다.",
    ),
    "Russian": (
        "Вчера на совещании мы обсуждали сроки запуска новой системы. Большинство участников считает, что самое сложное — "
        "перенос данных, поэтому сначала его проверят на тестовом стенде, а потом решат, менять ли план.",
        "Спасибо за сообщение. Я проверил документы, замечаний нет. Пожалуйста, переходите к следующему шагу.",
        "Весной в саду расцветали яблони. Дедушка ставил под деревом стул, пил чай и рассказывал нам о своей молодости.",
    ),
    "German, French, Spanish": (
        "Gestern haben wir besprochen, wann das neue System in Betrieb geht. Die meisten halten die Übernahme der Daten "
        "für die größte Schwierigkeit; deshalb wird sie zuerst in einer Testumgebung durchgeführt.",
        "Hier, nous avons discuté du calendrier de mise en service. La plupart des participants estiment que la reprise "
        "des données sera l'étape la plus délicate, et qu'il faut d'abord l'essayer à blanc.",
        "Ayer hablamos del calendario de lanzamiento. La mayoría cree que la migración de los datos será lo más difícil, "
        "así que primero la probaremos en un entorno de pruebas y después decidiremos.",
    ),
}

#: Tokens of each text by tiktoken 0.14 (bpe-openai 0.1.4 gives the same), in its two vocabularies.
COUNTED: Final[dict[str, dict[str, tuple[int, ...]]]] = {
    "English prose": {
        "o200k": (61, 72, 77, 56),
        "cl100k": (61, 72, 78, 58),
    },
    "English chat": {
        "o200k": (10, 23, 29, 21, 25),
        "cl100k": (10, 24, 30, 22, 26),
    },
    "Chinese prose": {
        "o200k": (72, 68, 80, 69),
        "cl100k": (117, 109, 121, 100),
    },
    "Chinese chat": {
        "o200k": (14, 17, 19, 30, 11),
        "cl100k": (19, 24, 28, 40, 17),
    },
    "Python": {
        "o200k": (97, 144, 96, 75),
        "cl100k": (97, 144, 96, 75),
    },
    "JavaScript": {
        "o200k": (106, 84, 105),
        "cl100k": (104, 81, 95),
    },
    "JSON": {
        "o200k": (84, 83, 100, 65, 71),
        "cl100k": (84, 84, 98, 68, 71),
    },
    "Markdown and logs": {
        "o200k": (78, 94, 41),
        "cl100k": (80, 94, 44),
    },
    "Japanese": {
        "o200k": (64, 28, 47),
        "cl100k": (93, 44, 61),
    },
    "Korean": {
        "o200k": (45, 25, 47),
        "cl100k": (93, 50, 67),
    },
    "Russian": {
        "o200k": (47, 25, 34),
        "cl100k": (87, 45, 55),
    },
    "German, French, Spanish": {
        "o200k": (40, 45, 39),
        "cl100k": (50, 53, 46),
    },
}
