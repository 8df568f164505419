// How the page of `yolov3 data check --html` looks: light or dark as the reader's system is, wide or narrow.
#pragma once

namespace yolov3 {

constexpr const char* kDataPageStyle = R"(
:root{color-scheme:light dark;--paper:#fbfbfa;--ink:#1d2127;--soft:#666e7a;--card:#fff;--line:#e3e5e8;--track:#eceef0;
--bad:#c2372e;--good:#1d7f4e;--s0:#3b6fd4;--s1:#d98324;--s2:#3a9b78;--s3:#9357b8}
@media(prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e6e8eb;--soft:#9aa3af;--card:#1e2227;--line:#31363d;
--track:#2a2f36;--bad:#f0756b;--good:#5cc592;--s0:#6f9bf0;--s1:#eba65a;--s2:#63c39f;--s3:#bb88dd}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;background:var(--paper);color:var(--ink);
max-width:76rem;margin:0 auto;padding:2rem clamp(.9rem,3vw,2rem) 4rem}
h1{font-size:clamp(1.25rem,4vw,1.7rem);line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.8rem 0 .5rem}h3{font-size:1rem;font-weight:600;margin:1.4rem 0 .6rem}
.kind{margin:0 0 .2rem;color:var(--soft);font-size:.85rem;letter-spacing:.06em;text-transform:uppercase}
.about,.legend{color:var(--soft);margin:.2rem 0 .9rem;max-width:60rem}.legend{margin-top:1.2rem}
.verdict{font-weight:600;margin:.6rem 0 1.4rem}.bad{color:var(--bad)}.good{color:var(--good)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.7rem}
.tile,figure{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:.7rem .9rem;color:var(--soft);font-size:.85rem}
.tile b{display:block;font-size:1.5rem;line-height:1.3;color:var(--ink);font-variant-numeric:tabular-nums}
.tile.bad b{color:var(--bad)}
.scroll{overflow-x:auto}.tall{max-height:30rem;overflow:auto}
table{border-collapse:collapse;width:100%}
th,td{padding:.32rem .9rem .32rem 0;text-align:left;vertical-align:baseline;border-bottom:1px solid var(--line)}
tr:first-child>th{color:var(--soft);font-weight:500;font-size:.85rem;white-space:nowrap}
th{font-weight:500}.numbers th{white-space:nowrap}
th small{display:block;font-size:.85rem;font-weight:400;color:var(--soft);white-space:normal;min-width:12rem}
.numbers td,.numbers tr:first-child>th:not(:first-child):not([colspan]){text-align:right;
font-variant-numeric:tabular-nums;white-space:nowrap}
.numbers .error{text-align:left;white-space:normal}
.numbers .graph{text-align:left;width:22%;min-width:4.5rem}
.zero{color:var(--soft);opacity:.6}td.zero{color:var(--bad);opacity:1}
.track{display:block;background:var(--track);border-radius:4px;height:.55rem;overflow:hidden}
.bar{display:block;height:100%;border-radius:4px}
.dot{display:inline-block;width:.6rem;height:.6rem;border-radius:50%;margin-right:.4rem}
.s0{background:var(--s0)}.s1{background:var(--s1)}.s2{background:var(--s2)}.s3{background:var(--s3)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr));gap:.9rem;margin:.9rem 0}
figure{margin:0;overflow:hidden;display:flex;flex-direction:column}
figure img{width:100%;height:15rem;object-fit:contain;background:var(--track);display:block}
.none{height:15rem;display:grid;place-items:center;color:var(--soft);background:var(--track)}
figcaption{overflow-wrap:anywhere;padding:.6rem .8rem .75rem;font-size:.85rem;display:flex;flex-direction:column;gap:.15rem}
figcaption span{color:var(--soft)}figcaption b{font-weight:600}figcaption span b{color:var(--ink)}
code{font:.8rem/1.45 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere;color:var(--soft)}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem;color:var(--bad)}
details{margin-top:1rem}summary{cursor:pointer;font-weight:500}details table{font-size:.85rem;margin-top:.5rem}
.key{display:inline-block;width:1.1rem;height:.8rem;vertical-align:-1px;margin:0 .3rem 0 .2rem}
.mark{border:2px solid #ff463c}.other{border:2px dashed #e0bd00;margin-left:1rem}
@media(max-width:32rem){th,td{padding-right:.5rem}th small{min-width:8rem}}
@media print{.tall{max-height:none}details{display:none}}
)";

}  // namespace yolov3
