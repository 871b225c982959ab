"""The look of a report: light or dark as the reader has it, on paper, and from a phone's width up."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #faf9f6; --raised: #ffffff; --ink: #1d1c1a; --soft: #625e57; --line: #e0dcd3; --faint: #f1eee8; --shade: #0003;
  --naming: #2a5db0; --restoring: #ad4a12; --right: #1a7040; --wrong: #b02a1f;
  --line-1: #2a5db0; --line-2: #ad4a12; --line-3: #1a7040; --line-4: #8a3f8f; --line-5: #0b7c8c; --line-6: #b8860b; --line-7: #c2447a;
  --line-8: #6b5b4b;
  --serif: Charter, "Bitstream Charter", "Iowan Old Style", "Sitka Text", Cambria, Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #141416; --raised: #1c1c1f; --ink: #ebe9e5; --soft: #a6a29b; --line: #35353a; --faint: #242428; --shade: #000c;
    --naming: #8db4f5; --restoring: #f2a56e; --right: #74d29d; --wrong: #ff9488;
    --line-1: #8db4f5; --line-2: #f2a56e; --line-3: #74d29d; --line-4: #d29adb; --line-5: #6fd0de; --line-6: #e6c65c; --line-7: #f79abf;
    --line-8: #bfae9c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 var(--sans); -webkit-text-size-adjust: 100%; }
main { max-width: 67rem; margin: 0 auto; padding: clamp(1.5rem, 5vw, 4.5rem) clamp(1rem, 4vw, 2.5rem) 5rem; }
h1 { margin: 0 0 1.1rem; font: 400 .9375rem/1.4 var(--sans); color: var(--soft); overflow-wrap: anywhere; }
.lede { margin: 0; max-width: 24em; font: 400 clamp(1.65rem, 4.6vw, 2.9rem)/1.2 var(--serif); letter-spacing: -.012em; text-wrap: balance; }
.lede strong { font-weight: 600; white-space: nowrap; }
.naming { color: var(--naming); }
.restoring { color: var(--restoring); }
section { margin-top: clamp(2.5rem, 6vw, 4rem); }
h2 { margin: 0 0 .6rem; padding-top: 1.1rem; border-top: 1px solid var(--line);
  font: 600 1.5rem/1.25 var(--serif); letter-spacing: -.008em; }
h3 { margin: 1.4rem 0 .3rem; font: 600 1rem/1.4 var(--sans); }
p { max-width: 42rem; margin: 0 0 1rem; }
.soft, .note { color: var(--soft); }
.note { font-size: .875rem; }
code, pre { font-family: var(--mono); font-size: .875em; }

.scroll { overflow-x: auto; margin: 1.25rem 0;  /* a shadow tells that there is more to one side */
  background: linear-gradient(90deg, var(--paper) 50%, transparent) 0 / 3rem 100% local,
    linear-gradient(270deg, var(--paper) 50%, transparent) 100% / 3rem 100% local,
    linear-gradient(90deg, var(--shade), transparent) 0 / .75rem 100% scroll,
    linear-gradient(270deg, var(--shade), transparent) 100% / .75rem 100% scroll;
  background-repeat: no-repeat; }
.scroll:focus-visible { outline: 2px solid var(--naming); outline-offset: 4px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.figures { width: 100%; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .5rem; }
th, td { padding: .55rem 0 .55rem 1.5rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: baseline; }
th:first-child { padding-left: 0; text-align: left; }
thead th { font-size: .8125rem; font-weight: 600; color: var(--soft); white-space: nowrap; }
tbody th { font-weight: 400; min-width: 11rem; }
.figures td { white-space: nowrap; }
tbody th small { display: block; color: var(--soft); font-size: .8125rem; }
.lead tbody tr:first-child :is(th, td) { font-weight: 600; }
.lead tbody tr:first-child small { font-weight: 400; }
@media (max-width: 40rem) {
  .figures { font-size: .9375rem; }
  .figures th, .figures td { padding-left: 1rem; }
  .figures th:first-child { padding-left: 0; min-width: 8.5rem; }
}

dl { margin: 1.25rem 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: .9rem 2.5rem; }
dl > div { min-width: 0; }
dt { font-size: .8125rem; font-weight: 600; color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }

.pictures { list-style: none; margin: 1.5rem 0 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.pictures figure { margin: 0; height: 100%; padding: .75rem; background: var(--raised); border: 1px solid var(--line); border-radius: .5rem;
  display: flex; flex-direction: column; gap: .6rem; }
.pictures figure.wrong { border: 1px dashed var(--wrong); }
.views { display: flex; gap: .5rem; }
.views span { flex: 1; min-width: 0; color: var(--soft); font-size: .75rem; line-height: 1.4; }
.views img { display: block; width: 100%; height: auto; margin-bottom: .2rem; border-radius: 2px; background: var(--faint); }
.views .small { image-rendering: pixelated; }
.pictures figcaption { display: grid; grid-template-columns: 1fr auto; gap: 0 .75rem; font-size: .9375rem; line-height: 1.45;
  overflow-wrap: anywhere; }
.pictures figcaption small { grid-column: 1 / -1; margin-top: .25rem; color: var(--soft); font-size: .8125rem;
  font-variant-numeric: tabular-nums; }
.mark { grid-area: 1 / 2; font-size: .8125rem; font-weight: 600; }
.mark.right { color: var(--right); }
.mark.wrong { color: var(--wrong); }

.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem 2rem; margin-top: 1.25rem; }
.curves figure { margin: 0; min-width: 0; }
.curves figcaption { font-size: .9375rem; font-weight: 600; margin-bottom: .35rem; }
.curves small { margin-left: .35em; color: var(--soft); font-size: .8125rem; font-weight: 400; }
.curves svg { display: block; width: 100%; height: auto; overflow: visible; }
.curves text { font-family: var(--sans); }
.curves + .note { margin-top: 1.25rem; }

.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; margin: 1rem 0 0; padding: 0; color: var(--soft);
  font-size: .875rem; }
.legend svg { display: inline-block; width: 1.75rem; height: .5rem; margin-right: .4rem; vertical-align: middle; }

.rows { list-style: none; margin: 1.5rem 0 0; padding: 0; display: grid; gap: 1rem; }
.rows figure { margin: 0; padding: .75rem; background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; }
.rows figcaption { margin-bottom: .6rem; font-size: .9375rem; }
.rows .views { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); }

details { margin: 1.25rem 0; border: 1px solid var(--line); border-radius: .5rem; background: var(--raised); padding: 0 1rem; }
summary { cursor: pointer; padding: .7rem 0; font-weight: 600; }
details[open] { padding-bottom: 1rem; }
.settings { columns: 19rem; column-gap: 2.5rem; margin: 0; padding: 0; list-style: none; font: .8125rem/1.7 var(--mono); }
.settings li { display: flex; justify-content: space-between; gap: 1rem; break-inside: avoid; border-bottom: 1px solid var(--line);
  text-align: right; overflow-wrap: anywhere; }
.settings span { color: var(--soft); text-align: left; }

.steps { padding-left: 1.25rem; margin: 1rem 0; }
.steps li { margin-bottom: 1rem; }
pre { margin: .4rem 0 0; padding: .7rem .9rem; overflow-x: auto; background: var(--faint); border-radius: .375rem; }

@media print {
  :root { --paper: #fff; --raised: #fff; --ink: #000; --soft: #444; --line: #ccc; --faint: #f4f4f4;
    --naming: #2a5db0; --restoring: #ad4a12; --right: #1a7040; --wrong: #b02a1f;
    --line-1: #2a5db0; --line-2: #ad4a12; --line-3: #1a7040; --line-4: #8a3f8f; --line-5: #0b7c8c; --line-6: #b8860b; --line-7: #c2447a;
    --line-8: #6b5b4b; }
  figure, tr, .steps li { break-inside: avoid; }
}
"""
