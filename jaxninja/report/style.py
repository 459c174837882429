"""The style sheet of the report: light and dark, one column on a phone."""

CSS = """
:root { color-scheme: light dark; --line: #8884; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 0 1rem 3rem;
  max-width: 100rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.2rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; border-top: 1px solid var(--line);
  padding-top: .6rem; }
p { margin: .4rem 0; max-width: 70ch; }
.runs { display: grid; gap: 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.run { min-width: 0; max-width: 50rem; }
figure { margin: .5rem 0; }
img { max-width: 100%; height: auto; display: block; background: white; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
.mark { font-weight: 600; display: inline-block; min-width: 4.5rem; }
.good, .watch, .act, .problems { border-left: .3rem solid; padding-left: .6rem; }
.good { border-color: #009e73; } .watch { border-color: #e69f00; }
.act, .problems { border-color: #d55e00; }
.problems { list-style: none; }
.samples { columns: 8rem; padding-left: 1.2rem; }
summary { cursor: pointer; margin-top: 1.6rem; font-weight: 600; }
"""
