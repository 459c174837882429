"""The style sheet of the handbook: light and dark, one column on a phone."""

CSS = """
:root { color-scheme: light dark; --bg: #ffffff; --fg: #1c1f23; --soft: #59616b;
  --line: #dadfe4; --panel: #f5f7f8; --accent: #0a6670; --mine: #0a7f86;
  --theirs: #b9791b; --error: #b3361b; --key: #8a3b8f; --name: #0b5cad;
  --text: #3c7a1e; --note: #6a6f76; --number: #a5520b; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e3e6e9;
  --soft: #a2abb5; --line: #353c44; --panel: #1c2125; --accent: #74cdd0;
  --mine: #3fb3b8; --theirs: #e0a84c; --error: #f0886c; --key: #d59bdb;
  --name: #82b8f5; --text: #a3d08a; --note: #98a0aa; --number: #eab07a; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { font: 16px/1.6 system-ui, sans-serif; color: var(--fg); background: var(--bg);
  margin: 0 auto; max-width: 94rem; padding: 0 1.25rem 4rem;
  overflow-wrap: break-word; }
a { color: var(--accent); text-underline-offset: .15em; }
nav.top { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: .8rem 0;
  border-bottom: 1px solid var(--line); font-size: .92rem; }
nav.top a { text-decoration: none; } nav.top a:hover { text-decoration: underline; }
nav.top .home { font-weight: 650; color: var(--fg); margin-right: .6rem; }
nav.top [aria-current] { color: var(--fg); border-bottom: 2px solid var(--accent); }
.turn { display: flex; justify-content: space-between; gap: 1rem; margin-top: 4rem;
  padding-top: 1rem; border-top: 1px solid var(--line); }
h1 { font-size: 1.9rem; line-height: 1.25; margin: 2rem 0 .3rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
p, li, dd, blockquote { max-width: 44rem; } p { margin: .6rem 0; }
ul, ol { padding-left: 1.4rem; } li { margin: .2rem 0; }
.lead { font-size: 1.12rem; color: var(--soft); margin-bottom: 1.2rem; }
.soft { color: var(--soft); font-size: .92rem; }
.note { border-left: 3px solid var(--line); padding-left: .9rem; color: var(--soft); }
code, pre, .code { font-family: ui-monospace, "SF Mono", Menlo, Consolas,
  "DejaVu Sans Mono", monospace; font-size: .8125rem; line-height: 1.5; }
:not(pre) > code { background: var(--panel); border-radius: .2rem; padding: .1em .3em;
  font-size: .88em; overflow-wrap: anywhere; }
a > code { color: inherit; }
a > code, .chips a { text-underline-offset: .3em; }
.joined { white-space: nowrap; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem;
  padding: .8rem 1rem; margin: .6rem 0 1rem; overflow-x: auto; }
pre.said { border-left: 3px solid var(--error); white-space: pre-wrap;
  overflow-wrap: anywhere; max-width: 60rem; }
.wide { overflow-x: auto; }
.equations { display: grid; gap: .5rem 2rem; justify-content: start; width: max-content;
  margin: .8rem 0 1rem 1.6rem; font-size: 1.12rem; align-items: baseline; }
math { font-family: "Cambria Math", "STIX Two Math", "Latin Modern Math",
  "DejaVu Math TeX Gyre", math; }
p math { font-size: 1.08em; }
.beside { display: grid; gap: 0 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 33rem), 1fr)); }
.beside > * { min-width: 0; } .beside h3 { margin-top: 1rem; }
summary { cursor: pointer; margin: .8rem 0; color: var(--accent); }
table { border-collapse: collapse; font-size: .92rem; margin: .6rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1.2rem .3rem 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--soft); } .number { text-align: right;
  white-space: nowrap; }
td code { overflow-wrap: normal; white-space: nowrap; }
.catalogue { width: 100%; max-width: 78rem; table-layout: fixed; }
.catalogue th:nth-child(1) { width: 13.5rem; } .catalogue th:nth-child(4)
  { width: 14rem; } .catalogue th.number { width: 6.5rem; }
.kept td:first-child { white-space: nowrap; }
.kept td:last-child code { white-space: normal; overflow-wrap: anywhere; }
td summary { margin: 0; } td details details summary { margin-top: .5rem; }
td details p { margin: .3rem 0; min-width: 18rem; max-width: 30rem; }
.bars { display: grid; grid-template-columns: max-content minmax(0, 1fr) max-content;
  gap: .45rem .9rem; align-items: center; max-width: 60rem; margin: 1rem 0; }
.bar { display: flex; gap: 1px; height: 1.25rem; min-width: 2px; }
.bar i { display: block; min-width: 1px; border-radius: 2px; background: var(--mine); }
.bar.theirs i { background: repeating-linear-gradient(135deg, var(--theirs) 0 5px,
  color-mix(in srgb, var(--theirs) 65%, var(--bg)) 5px 8px); }
table .bar { width: 12rem; height: .7rem; margin-top: .45rem; }
table .bar + .bar { margin-top: 2px; }
.chips { display: flex; flex-wrap: wrap; gap: .35rem; padding: 0; list-style: none; }
.chips li { border: 1px solid var(--line); border-radius: 1rem; padding: .05rem .7rem;
  font-size: .85rem; margin: 0; }
.cards { display: grid; gap: 1rem; margin: 1.2rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.cards > * { border: 1px solid var(--line); border-radius: .5rem; padding: .4rem 1.2rem
  .8rem; min-width: 0; } .cards h3 { margin-top: .7rem; }
.columns { columns: 11rem; padding: 0; list-style: none; }
img { max-width: 100%; background: #ffffff; } p:has(img) { max-width: none; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); font-size: .92rem; }
.graph { max-width: none; } svg.graph text { fill: var(--fg); }
svg.graph .note, svg.graph path { fill: none; } svg.graph rect { fill: var(--bg);
  stroke: var(--soft); } svg.graph path { stroke: var(--soft); }
svg.graph text.note { fill: var(--soft); }
svg.graph marker path { fill: var(--soft); stroke: none; }
svg.graph rect.op { fill: var(--panel); }
svg.graph rect.source { stroke: var(--name); fill: color-mix(in srgb, var(--name) 10%,
  var(--bg)); } svg.graph rect.output { stroke: var(--theirs);
  fill: color-mix(in srgb, var(--theirs) 14%, var(--bg)); }
svg.graph rect.folded { fill: color-mix(in srgb, var(--key) 14%, var(--bg)); }
dt { font-weight: 650; margin-top: 1.1rem; } dd { margin: .1rem 0 0; }
.symbol { border-top: 1px solid var(--line); margin-top: 1.6rem; padding-top: .2rem; }
.symbol > h3 { font: 600 .95rem ui-monospace, Menlo, Consolas, monospace; }
.member { margin-left: 1.2rem; } .fields { display: grid; gap: .35rem 1.2rem;
  grid-template-columns: minmax(6rem, max-content) minmax(0, 44rem); margin: .4rem 0; }
.fields dt { font: 600 .88rem/1.75 ui-monospace, Menlo, Consolas, monospace; margin: 0;
  grid-column: 1; } .fields dd { margin: 0; grid-column: 2; }
.symbol > pre, .member pre { max-width: 60rem; }
.code .k, .code .kn, .code .ow, .code .kc { color: var(--key); }
.code .nf, .code .nc, .code .nd { color: var(--name); }
.code .s, .code .sd, .code .s1, .code .s2, .code .sa, .code .se, .code .sf, .code .si
  { color: var(--text); }
.code .c, .code .c1 { color: var(--note); font-style: italic; }
.code .mi, .code .mf { color: var(--number); }
@media (min-width: 72rem) { .beside .code { font-size: .75rem; padding: .8rem; } }
@media (max-width: 40rem) { h1 { font-size: 1.55rem; } body { padding: 0 1rem 3rem; }
  .equations { display: block; width: auto; margin-left: 0; }
  .equations > div { overflow-x: auto; overflow-y: hidden; padding: .3rem 0; }
  .equations > .further { margin-left: 1.6rem; }
  .bars { grid-auto-flow: dense; grid-template-columns: max-content 1fr; }
  .bars .bar { grid-column: 1 / -1; margin-bottom: .6rem; }
  .member { margin-left: 0; } .fields { display: block; }
  .fields dt { margin-top: .6rem; }
  .stacked, .stacked tbody, .stacked tr, .stacked td { display: block; }
  .stacked thead { display: none; } .stacked td { border: 0; padding: .1rem 0; }
  .stacked td:nth-child(-n + 2) { display: inline; margin-right: .8rem; }
  .stacked td code { white-space: normal; overflow-wrap: anywhere; }
  .stacked tr { border-bottom: 1px solid var(--line); padding: .6rem 0; }
  td details p { min-width: 0; }
  .catalogue, .catalogue tbody, .catalogue td { display: block; }
  .catalogue thead { display: none; } .catalogue td { border: 0; padding: 0; }
  .catalogue tr { display: grid; grid-template-columns: 1fr 1fr; gap: .1rem 1rem;
    border-bottom: 1px solid var(--line); padding: .7rem 0; }
  .catalogue td:nth-child(1), .catalogue td:nth-child(n + 4) { grid-column: 1 / -1; }
  .catalogue td:nth-child(5) { grid-row: 2; }
  .catalogue td.number { text-align: left; color: var(--soft); }
  .catalogue td:nth-child(2)::before { content: "by hand "; }
  .catalogue td:nth-child(3)::before { content: "autodiff "; }
  table .bar { width: 100%; } }
"""
