"""How a report looks: light, dark, and on paper. No element has a style of its own: the policy of the server allows
exactly this text, by its hash."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--mute:#5b6675;--rule:#dde2e9;--after:#1f6feb;
--before:#8a94a3;--good:#177a45;--bad:#c0321f;--soft:#e9edf3;--warn:#946200}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--ink:#e6eaf0;--mute:#9aa5b4;--rule:#2e3742;
--after:#6cabff;--before:#7c8797;--good:#4cc585;--bad:#ff8a75;--soft:#272f3a;--warn:#e0b04a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1060px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0;letter-spacing:-.01em}
h2{font-size:17px;margin:0 0 12px}
h3{font-size:14px;margin:18px 0 8px}
p{margin:0 0 10px}
.mute,small,caption{color:var(--mute)}
small{font-size:13px}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:18px 20px;margin-top:16px}
.verdict{border-left:5px solid var(--good);font-size:17px}
.verdict.held{border-left-color:var(--bad)}
.verdict b{display:block;font-size:13px;text-transform:uppercase;letter-spacing:.06em;color:var(--good)}
.verdict.held b{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:16px}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 14px}
.tile strong{display:block;font-size:21px;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.tile span{color:var(--mute);font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:6px;font-size:13px}
th,td{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;font-size:13px;color:var(--mute);white-space:nowrap}
tbody th{color:var(--ink);font-size:14px;white-space:normal;min-width:96px;overflow-wrap:break-word}
tr:last-child>*{border-bottom:0}
.n{text-align:right;white-space:nowrap}
.pass{color:var(--good)}.fail{color:var(--bad)}.not_enough{color:var(--warn)}
.pass,.fail,.not_enough{font-weight:600;white-space:nowrap}
.up{color:var(--good)}.down{color:var(--bad)}
code{font:12.5px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:18px}
figure{margin:0}
figcaption{font-size:13px;color:var(--mute)}
.plots figcaption{font-weight:600;color:var(--ink);font-size:14px;margin-bottom:4px}
svg{display:block}
.plot{width:100%;height:auto}
.span{width:150px;height:16px}
.share{width:100%;min-width:120px;height:8px;margin-top:7px;border-radius:4px}
.tick{font-size:10.5px;fill:var(--mute)}
.axis{fill:none;stroke:var(--mute);stroke-width:1}
.grid{stroke:var(--rule);stroke-width:1}.dashed{stroke-dasharray:4 4;stroke:var(--mute)}
polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}
line.before,polyline.before{stroke:var(--before)}line.after,polyline.after{stroke:var(--after)}
.dot.before{fill:var(--before)}.dot.after{fill:var(--after)}
.interval{stroke:var(--after);stroke-width:7;stroke-opacity:.22;stroke-linecap:round}
.gain{stroke:var(--good);stroke-width:2}.loss{stroke:var(--bad);stroke-width:2}
.line0{stroke:var(--after)}.line1{stroke:#d9822b}.line2{stroke:#2f9e6e}.line3{stroke:#a154c9}.line4{stroke:#c94f7c}
.line5{stroke:var(--before)}
.dot{stroke:none}.dot.line0{fill:var(--after)}.dot.line1{fill:#d9822b}.dot.line2{fill:#2f9e6e}.dot.line3{fill:#a154c9}
.dot.line4{fill:#c94f7c}
.bar{fill:var(--after)}.soft{fill:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;margin:2px 0 0;font-size:13px;color:var(--mute)}
.key{display:inline-flex;align-items:center;gap:5px}.key svg{width:18px;height:8px}.key line{stroke-width:3}
.crops{display:grid;grid-template-columns:repeat(auto-fill,minmax(112px,1fr));gap:12px 10px}
.crops img{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:var(--soft);border-radius:6px}
.crops figcaption{margin-top:4px;line-height:1.35;overflow-wrap:anywhere}
.crops b{color:var(--ink)}
.tag{display:inline-block;font-size:11px;font-weight:600;color:var(--bad);border:1px solid currentColor;
border-radius:9px;padding:0 6px}
.matrix td,.matrix thead th{text-align:center;padding:5px 8px;border:0}
.matrix{width:auto}.matrix td{min-width:46px;border-radius:4px}
.q1{background:color-mix(in srgb,var(--after) 10%,transparent)}
.q2{background:color-mix(in srgb,var(--after) 20%,transparent)}
.q3{background:color-mix(in srgb,var(--after) 32%,transparent)}
.q4{background:color-mix(in srgb,var(--after) 45%,transparent)}
.q5{background:color-mix(in srgb,var(--after) 60%,transparent)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:5px 18px;margin:0}
dt{color:var(--mute)}dd{margin:0;overflow-wrap:anywhere}
ul{margin:0;padding-left:20px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:8px 28px}
@media print{:root{color-scheme:light;--bg:#fff;--card:#fff;--ink:#000;--mute:#444;--rule:#bbb;--after:#1f6feb;
--before:#777;--good:#177a45;--bad:#c0321f;--soft:#eee;--warn:#946200}
body{font-size:11px}main{max-width:none;padding:0}section{break-inside:avoid;padding:10px 12px;border-radius:0}
section.long{break-inside:auto}figure,tr{break-inside:avoid}
.crops{grid-template-columns:repeat(5,1fr)}.plots{grid-template-columns:1fr 1fr}
.tiles{grid-template-columns:repeat(5,1fr)}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
