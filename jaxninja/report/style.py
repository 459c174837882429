"""The style sheet of the report: light and dark, one column on a phone, two on a desk.

The colours of the figures are Okabe and Ito's, darker on a light page and lighter on a
dark one, so that each has enough contrast; --ink and --c1 to --c6 are in their order.
"""

CSS = """
:root { color-scheme: light dark; --page: #fcfcfa; --card: #f2f2ee; --ink: #1d1d1b;
  --soft: #6b6b66; --line: #d9d9d3; --good: #007a58; --watch: #8f6200; --act: #b84a00;
  --c1: #0072b2; --c2: #d55e00; --c3: #008a65; --c4: #b4578f; --c5: #2f86bd;
  --c6: #a86f00; }
@media (prefers-color-scheme: dark) { :root { --page: #16171a; --card: #212328;
  --ink: #e6e6e3; --soft: #a0a09b; --line: #3a3c42; --good: #4cc79d; --watch: #e3ab3a;
  --act: #ff8f4e; --c1: #5fb4ee; --c2: #ff8f4e; --c3: #4cc79d; --c4: #e39ac6;
  --c5: #9ad2f5; --c6: #e3ab3a; }
  svg image.ink { filter: invert(1); } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--page); margin: 0 auto; padding: 1rem 1rem 4rem; max-width: 84rem;
  overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: .2rem 0; line-height: 1.25; }
h2 { font-size: 1.1rem; margin: 0 0 .3rem; }
h3 { font-size: 1.1rem; margin: 0 0 .3rem; }
p { margin: .35rem 0; max-width: 44rem; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: .15em; }
.facts { color: var(--soft); max-width: none; }
pre { white-space: pre-wrap; margin: .4rem 0; font-size: .875rem; }
.command { background: var(--card); padding: .4rem .7rem; border-radius: .3rem; }
.few { max-height: 12rem; overflow: auto; }
.glance { display: grid; gap: 1rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.card { background: var(--card); border-radius: .5rem; padding: .8rem 1rem;
  min-width: 0; }
.card ul { list-style: none; margin: .4rem 0 0; padding: 0; }
.card li { margin: .25rem 0; }
.losses { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: 0; }
.losses dt { color: var(--soft); } .losses dd { margin: 0; font-size: 1.15rem; }
.losses div:first-child dd { font-size: 1.9rem; line-height: 1.2; }
dd, td { font-variant-numeric: tabular-nums; }
.counts { display: flex; gap: 1.2rem; margin: 0; }
.counts b { font-size: 1.9rem; line-height: 1.2; font-weight: 600; }
.count.good { color: var(--good); } .count.watch { color: var(--watch); }
.count.act { color: var(--act); } .count.none { color: var(--soft); }
.topics { display: grid; gap: 0 2.5rem; align-items: start; grid-auto-flow: dense;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
.topics > * { min-width: 0; padding: 1.4rem 0; border-top: 1px solid var(--line); }
.topics > .whole { grid-column: 1 / -1; }
.parts { display: grid; gap: 1.2rem 2.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
.parts > * { min-width: 0; }
.text { margin-bottom: .8rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; color: var(--soft); }
svg { fill: var(--ink); display: block; width: 100%; max-width: 38rem; height: auto;
  overflow: visible; }
svg:focus-visible { outline: 2px solid var(--c1); outline-offset: .2rem; }
svg text { font-family: inherit; }
svg .cursor { stroke: var(--soft); stroke-width: .6; }
output { display: block; min-height: 1.5em; font-size: .875rem; color: var(--soft);
  font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
.numbers table { white-space: nowrap; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; }
th[scope=row] { font-weight: 500; white-space: nowrap; }
th[scope=col] { color: var(--soft); font-weight: 400; }
.option { white-space: nowrap; }
.mark { font-weight: 600; display: inline-block; min-width: 4.6rem; }
p.good, p.watch, p.act, .card li, .problems { border-left: .25rem solid var(--line);
  padding-left: .7rem; }
p.good, li.good { border-color: var(--good); } p.good .mark { color: var(--good); }
p.watch, li.watch { border-color: var(--watch); }
p.watch .mark { color: var(--watch); }
p.act, li.act, .problems { border-color: var(--act); }
p.act .mark { color: var(--act); }
:target { background: var(--card); }
.problems { list-style: none; margin: .8rem 0; }
.samples { columns: 8rem; padding-left: 1.2rem; }
.boxes { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; max-width: none; }
.topics > details { padding: .7rem 0; }
.run { border-top: 1px solid var(--line); padding: .7rem 0; }
.topics > details > div { display: flex; flex-wrap: wrap; gap: 1rem 3rem; }
summary.good { color: var(--good); }
summary { cursor: pointer; font-weight: 600; }
.run > summary { font-size: 1.1rem; }
@media (max-width: 40rem) { svg { --text: 1.34; }
  figure:has(svg) { margin-left: -.5rem; }
  figure output { margin-left: .5rem; } }
[hidden], .off { display: none; }
@media print { details { display: block; } .boxes { display: none; } }
"""
