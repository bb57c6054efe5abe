"""The style sheet of a report: light and dark, narrow and wide, on paper; nothing is loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

__all__ = ["GRAPH_WIDTHS", "STYLE", "STYLE_HASH"]

#: Widths below which a graph is not shrunk, so that its letters stay readable; each has a class ``w<width>``.
GRAPH_WIDTHS: Final = range(240, 981, 20)

_RULES: Final = """
:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--ink:#17202b;--soft:#56616f;--line:#dce1e7;--track:#e3e7ec;
--accent:#1c5cbb;--bad:#c0241f;--bad-soft:#fbe4e2;--good:#0a6f3c;--good-soft:#dff3e7;--warn:#8a5600;--amber:#d1901b;
--wire:#8d99a7;
--ribbon:#a9c4ea;--loop:#f0a39d}
@media (prefers-color-scheme:dark){:root{--page:#10151b;--card:#192027;--ink:#e7ecf2;--soft:#a5b1be;--line:#303a45;
--track:#2c3640;--accent:#86b6ff;--bad:#ff8d84;--bad-soft:#43211f;--good:#71dca1;--good-soft:#163a29;--warn:#f0bd62;
--amber:#d1901b;
--wire:#6f7d8c;--ribbon:#34527c;--loop:#8a3f3a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue","Noto Sans","PingFang SC","Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC","Source Han Sans SC",
"WenQuanYi Micro Hei",Arial,sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.5rem}footer{padding-bottom:3rem;color:var(--soft);font-size:.875rem}
h1,h2,h3,h4{line-height:1.25;margin:0;font-weight:650;text-wrap:balance}
h1{font-size:clamp(1.35rem,1rem + 1.6vw,2rem)}h2{font-size:1.3rem}h3{font-size:1.02rem;margin-bottom:.75rem}
h4{font-size:1rem}.title{font-size:1.06rem;margin-bottom:.75rem}p{margin:.4rem 0;max-width:75ch}
a{color:var(--accent)}:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
bdi.none,span.none{color:var(--soft);font-style:italic}
.path bdi{display:inline-block;max-width:100%}.kicker{max-width:none;color:var(--soft);margin:0 0 .5rem;
font-size:.9rem}.lead{color:var(--soft);margin-top:.6rem}
.alert{border:1px solid var(--warn);border-left-width:6px;border-radius:.5rem;padding:.6rem .9rem;margin:1rem 0;
background:var(--card)}
.skip{position:absolute;left:-999rem}.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.5rem}
section{margin:1rem 0}.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;
padding:1.1rem 1.2rem;margin:1rem 0;min-width:0}
.two{margin:1rem 0;display:grid;gap:1rem;grid-template-columns:minmax(0,1fr)}.two>.card,.two>div{margin:0;min-width:0}
.stack{display:grid;gap:1rem;align-content:start;grid-template-columns:minmax(0,1fr)}.stack>.card{margin:0}
@media (min-width:60rem){.two{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}}
.part{margin-top:2.5rem;padding-top:.5rem}
nav ul{display:flex;flex-wrap:wrap;gap:.35rem 1.1rem;list-style:none;padding:0;margin:.9rem 0 0;font-size:.92rem}
.tiles{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,10.25rem),1fr));margin:1rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:.8rem 1rem;min-width:0}
.tile dt{color:var(--soft);font-size:.88rem}.tile dd{margin:0}.tile .sub{color:var(--soft);font-size:.88rem}
.tile .big{font-size:1.5rem;font-weight:680;line-height:1.3}
.tile .word{font-size:1.2rem;line-height:1.35;padding:.15rem 0}
.bad{color:var(--bad)}.good{color:var(--good)}.soft{color:var(--soft)}
.scroll{overflow-x:auto;max-width:100%;border-radius:.3rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;font-weight:650;padding:0 0 .5rem;caption-side:top}
caption .soft,caption.soft{font-weight:400}
caption>span{display:block;position:sticky;left:0;max-width:calc(100vw - 4rem)}
th,td{text-align:left;vertical-align:top;padding:.5rem .7rem;border-top:1px solid var(--line)}
th:first-child,td:first-child{padding-left:0}th:last-child,td:last-child{padding-right:0}
thead th{border-top:0;overflow-wrap:normal;color:var(--soft);font-weight:600;font-size:.83rem;vertical-align:bottom}
tbody th{font-weight:600;min-width:8rem}.grid tbody td{min-width:4.5rem}.num{text-align:right;
overflow-wrap:normal}
.grid td.text{min-width:14rem}.tight th,.tight td{padding:.35rem .5rem}
.tight th:first-child{padding-left:0}.tight td:last-child,.tight th:last-child{padding-right:0}
.tight tbody th{min-width:9rem;width:45%}.tight .share{grid-template-columns:2.7rem minmax(2rem,1fr);min-width:5.2rem}
.tight .meter{min-width:2rem}.tight.listed tbody th{width:auto}.listed td.text{width:50%}
.figure{white-space:nowrap;overflow-wrap:normal}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.meter{display:block;width:100%;height:1.1rem;min-width:3rem}.meter .track{fill:var(--track)}.meter .full{
fill:var(--wire)}.meter.over .full{fill:var(--amber)}.meter.loop .full,.meter.decided .full{fill:var(--bad)}
.meter.work .full{fill:var(--accent)}.meter .tick{fill:var(--ink)}
.share{display:grid;grid-template-columns:3.4rem minmax(3rem,1fr);gap:.5rem;align-items:center;min-width:7.5rem}
.share .pc{text-align:right}
details{margin:.6rem 0 0}summary{cursor:pointer;color:var(--accent);font-size:.92rem;padding:.15rem 0}
pre{background:var(--page);border:1px solid var(--line);border-radius:.4rem;padding:.6rem .8rem;margin:.5rem 0;
overflow-x:auto;font-size:.85rem;white-space:pre-wrap}code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,
"DejaVu Sans Mono","Noto Sans Mono CJK SC",monospace}
.advice p{margin:0}ul.plain{margin:.3rem 0;padding-left:1.2rem}ul.plain li{margin:.25rem 0}
.cycles{list-style:none;margin:0;padding:0}.cycles>li{border-top:1px solid var(--line);padding:.9rem 0;display:grid;
gap:.4rem 1.5rem;grid-template-columns:minmax(0,1fr)}.cycles>li:first-child{border-top:0;padding-top:0}
.cycles .sum{font-size:1.15rem;font-weight:680}.cycles h4{font-size:1.02rem}
@media (min-width:48rem){.cycles>li{grid-template-columns:minmax(0,1.15fr) minmax(0,.8fr) minmax(0,1.35fr)}}
svg text{font-family:inherit;fill:var(--ink);font-size:13px}svg.flow,svg.graph,svg.spending{display:block;
max-width:100%;height:auto;margin:0 auto}
svg.flow{min-width:880px;width:100%}svg.spending{min-width:440px;width:100%}
@MINS@
.flow .ribbon{fill:var(--ribbon);opacity:.75}.flow .ribbon.loop{fill:var(--loop);opacity:.9}
.flow .bar{fill:var(--wire)}.flow .useful{fill:var(--accent)}.flow .loop.bar{fill:var(--bad)}
.flow .name{font-weight:600}.flow .sum{fill:var(--soft);font-size:12px}
.graph .wire{stroke:var(--wire);stroke-linecap:butt}.graph .tip{fill:var(--wire)}
.graph .cyc .wire{stroke:var(--bad)}.graph .cyc .tip{fill:var(--bad)}
.graph .node rect{fill:var(--card);stroke:var(--wire);stroke-width:1.5}.graph .node text{text-anchor:middle}
.graph .node.cyc rect{fill:var(--bad);stroke:var(--bad)}.graph .node.cyc text{fill:var(--card);font-weight:700}
.graph .node.all rect{stroke-dasharray:5 4}.graph .node.all text{font-style:italic}
.graph .load{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round;
text-anchor:middle;font-size:12px;fill:var(--soft)}.graph .load.cyc{fill:var(--bad);font-weight:600}
.spending .grid{stroke:var(--line)}.spending .axis{fill:var(--soft);font-size:12px}
.spending .loop{fill:var(--bad-soft)}.spending .rest{fill:var(--bad-soft);opacity:.45}
.spending .spent{fill:none;stroke:var(--accent);stroke-width:2.5;stroke-linejoin:round}
.spending .unspent{fill:none;stroke:var(--bad);stroke-width:2.5;stroke-dasharray:7 5}
.spending .mark line{stroke:var(--bad);stroke-width:1.2}.spending .mark text{fill:var(--bad);font-size:12px;
font-weight:600}.spending .begin line{stroke-dasharray:3 3}.spending .halt line{stroke-width:2.2}
.range rect.span{fill:var(--ribbon)}.range.saved rect.span{fill:var(--good-soft)}.range .mid{fill:var(--ink)}
.incident{border-top:1px solid var(--line);padding-top:1.6rem;margin-top:2.2rem;scroll-margin-top:.5rem}
.verdict{border-left:6px solid var(--bad)}.pill{display:inline-block;border:1.5px solid var(--bad);color:var(--bad);
border-radius:1rem;padding:.05rem .7rem;font-weight:650;font-size:.85rem;margin-right:.5rem}
.pill.plain{border-color:var(--wire);color:var(--soft)}.verdict h3{font-size:1.35rem;margin:.5rem 0 .3rem}
.signals{list-style:none;margin:0;padding:0}.signals li{margin:0 0 .7rem}.signals .what{display:flex;flex-wrap:wrap;
gap:0 .8rem;justify-content:space-between;font-size:.92rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;font-size:.9rem;margin:.2rem 0 .7rem;padding:0;list-style:none}
.laps{table-layout:fixed}.laps th.who{width:9.5rem}.laps td,.laps th{border-left:1px solid var(--line)}
.laps th:first-child,.laps td:first-child{border-left:0;padding-left:0}.laps td:last-child{padding-right:.7rem}
.laps thead th{color:var(--ink);font-size:.92rem;vertical-align:top}.laps .gap{border-left:4px double var(--wire)}
.laps thead .soft{font-weight:400;font-size:.83rem;display:block}.laps .stale{display:block;font-weight:650;
font-size:.88rem}.laps .meter{height:.9rem}.laps .meter .track{fill:var(--track)}.laps .meter .full{fill:var(--good)}
.laps tbody th{font-size:.9rem;min-width:0}.laps .lap{display:none}.laps .what{display:block}
.laps .cost{display:block;color:var(--soft);font-size:.82rem;margin-top:.3rem}.words{color:var(--soft)}
.words span{color:var(--soft);text-decoration:underline dotted var(--wire);text-underline-offset:.2em}
.words ins,.legend ins{color:var(--good);background:var(--good-soft);font-weight:700;text-decoration:underline;
text-decoration-thickness:.1em;text-underline-offset:.17em;border-radius:.2rem}
.tag{border:1px solid var(--line);border-radius:.3rem;padding:0 .35rem;font-size:.78rem;color:var(--soft);
font-weight:400;white-space:nowrap}blockquote,.last{border-left:3px solid var(--wire);padding-left:.8rem;
margin:.5rem 0;color:var(--soft)}
.parts{list-style:none;padding:0;margin:0}.parts li{margin:.5rem 0}
ol.ring{columns:11rem;padding-left:2rem;font-size:.9rem;margin:.6rem 0 0}
.up{font-size:.88rem;margin:.6rem 0 0}
@media (max-width:44rem){.laps,.laps tbody,.laps tr,.laps td,.laps tbody th{display:block;width:auto;border:0;
padding:0}.laps caption{display:block}.laps thead{display:none}.laps tbody tr{border-top:1px solid var(--line);
padding:.7rem 0}
.laps tbody th{margin-bottom:.4rem}.laps tbody td{border-left:3px solid var(--line);padding:.15rem 0 .35rem .7rem;
margin:.3rem 0}.tight .meter{display:none}.tight .share{grid-template-columns:2.7rem;min-width:0}
.tight tbody th{min-width:8rem}
.laps .lap{display:block;color:var(--ink);font-size:.82rem;font-weight:650}
.laps tbody td.void{display:none}.laps td:first-child{padding-left:.7rem}.card{padding:.9rem .9rem}}
@media (max-width:26rem){header,main,footer{padding-left:.6rem;padding-right:.6rem}.tile{padding:.7rem}
.tile .big{font-size:1.25rem}.tile .word{font-size:1rem}}
@media (prefers-contrast:more){:root{--soft:var(--ink);--wire:var(--ink)}}
@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--track:#ddd;
--accent:#1c5cbb;--bad:#b01d18;--bad-soft:#fbe4e2;--good:#0a6f3c;--good-soft:#e4f4ea;--warn:#7a4c00;--amber:#d1901b;
--wire:#777;
--ribbon:#a9c4ea;--loop:#f0a39d}body{font-size:11pt}.scroll{overflow:visible}nav,.up,.skip{display:none}
details::details-content{content-visibility:visible;display:block}.card,.tile,tr,.cycles>li{break-inside:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}svg.flow,svg.spending,svg.graph{min-width:0}
.incident{break-before:page}}
"""

STYLE: Final = _RULES.replace("@MINS@", "".join(f".w{width}{{min-width:{width}px}}" for width in GRAPH_WIDTHS))
#: What the page's security policy allows, and nothing else.
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
