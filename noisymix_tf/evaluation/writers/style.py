"""How the page of a report looks."""

# Blue and orange are told apart with any colour vision (Okabe and Ito, 2008,
# "Color Universal Design"). Numbers are set in figures of equal width.
STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --panel: #f6f7f8; --ink: #1b1f24; --soft: #59636e;
  --line: #dfe3e8; --ours: #1f6fb2; --theirs: #e0a03c; --gap: #c75a12;
  --right: #17693a; --wrong: #a83210;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --panel: #1d2125; --ink: #e6e9ec; --soft: #9aa4ae;
    --line: #33393f; --ours: #4f9fdf; --theirs: #c98f35; --gap: #f0894a;
    --right: #6fcf97; --wrong: #ff9a76;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Liberation Sans", Arial, sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1, h2, h3, p, ul, ol, dl, dd, figure, table { margin: 0; padding: 0; }
h1, h2, h3, b, caption { font-weight: 600; }
h1 {
  font-size: 30px; line-height: 1.2; letter-spacing: -0.015em;
  overflow-wrap: anywhere;
}
h2 { font-size: 21px; line-height: 1.3; letter-spacing: -0.01em; }
h3, caption { font-size: 15px; text-align: left; }
a { color: inherit; text-underline-offset: 3px; }
code { font: 0.93em ui-monospace, "Liberation Mono", monospace; }
th { font-weight: 400; text-align: left; }
table {
  border-collapse: collapse; width: 100%;
  font-variant-numeric: tabular-nums;
}
td { text-align: right; white-space: nowrap; }

dl { display: flex; flex-wrap: wrap; gap: 4px 32px; margin-top: 12px; }
dl div { display: flex; gap: 8px; }
dt { color: var(--soft); }
dd { overflow-wrap: anywhere; }

.cards {
  display: grid; gap: 12px; margin-top: 28px; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(190px, 1fr));
}
.cards li {
  background: var(--panel); border-radius: 8px; padding: 12px 14px;
  display: flex; flex-direction: column;
}
.cards strong {
  font-size: 26px; font-weight: 600; line-height: 1.3;
  letter-spacing: -0.02em; font-variant-numeric: tabular-nums;
}
.cards small { color: var(--soft); font-size: 12.5px; line-height: 1.4; }
.cards .tag { align-self: flex-start; margin: auto 0 2px; }
.cards small { margin-bottom: 8px; }

nav ul {
  display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 24px;
  padding: 0; list-style: none;
}

section {
  margin-top: 44px; padding-top: 24px; border-top: 1px solid var(--line);
}
section > header { margin-bottom: 20px; }
section > header h2 { display: inline; margin-right: 10px; }
.origin, .legend { color: var(--soft); }
.origin { margin-top: 2px; }
.tag {
  display: inline-block; padding: 0 8px; border-radius: 9px;
  font-size: 12px; line-height: 18px; white-space: nowrap;
  border: 1px solid var(--soft); color: var(--soft);
}
h2 + .tag { vertical-align: 3px; }
.tag.generated { border-style: dashed; }
.tag.released {
  background: var(--soft); color: var(--paper);
}

.body {
  display: grid; gap: 32px 48px; align-items: start;
  grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
  grid-template-rows: auto 1fr;
}
.body > .figures, .body > .bars { grid-column: 1; }
.body > .scroll, .body > .beside { grid-column: 2; grid-row: 1 / span 2; }
.body > .wide { grid-column: 1 / -1; }

.figures th, .figures td, .values th, .values td {
  padding: 4px 0; border-bottom: 1px solid var(--line);
}
.figures th { padding-right: 16px; }
caption { padding-bottom: 6px; }
.values caption > span { margin-right: 16px; }
.values thead th {
  text-align: right; color: var(--soft); vertical-align: bottom;
}
.values thead th:first-child { text-align: left; }
.values th, .values td { padding: 4px 0 4px 10px; font-size: 14px; }
.values th:first-child { padding-left: 0; }
.values tbody th { line-height: 1.35; }
.values [scope="rowgroup"] { color: var(--soft); padding-top: 12px; }
.heat th, .heat td { border-bottom: 0; }
.heat td[style] {
  text-align: center; padding: 7px 5px; border: 2px solid var(--paper);
  print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
.heat thead th { text-align: center; padding-left: 0; }
.heat tbody [scope="row"] { padding-right: 8px; }
.gradient {
  display: inline-flex; align-items: center; gap: 6px; white-space: nowrap;
  font-weight: 400; font-size: 13px; color: var(--soft);
}
.gradient i { width: 96px; height: 10px; }
.scroll { overflow-x: auto; }
.scroll th:first-child { position: sticky; left: 0; background: var(--paper); }
:focus-visible { outline: 2px solid var(--ours); outline-offset: 3px; }

.legend { font-size: 13.5px; }
.key { display: inline-flex; align-items: center; margin-right: 14px; }
.key { overflow-wrap: anywhere; }
.key i {
  flex: none; width: 12px; height: 12px; margin-right: 6px;
  background: var(--ours);
}
.key i.theirs { background: var(--theirs); }
.key i.gap { border: 1.5px dashed var(--gap); background: none; }
i, rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
svg { display: block; overflow: visible; }
svg text { font-size: 12px; fill: var(--ink); }
svg .tick, svg .soft { fill: var(--soft); }
svg .name { font-size: 13px; }
svg .number {
  font-size: 11.5px; font-variant-numeric: tabular-nums;
  paint-order: stroke; stroke: var(--paper); stroke-width: 2px;
}
.grid { stroke: var(--line); stroke-width: 1; }
.error { stroke: var(--ink); stroke-width: 1.5; }
.ours { fill: var(--ours); }
.theirs { fill: var(--theirs); }
.ideal { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 4; }
rect.gap { stroke: var(--gap); stroke-dasharray: 3 2; }
.over { fill: var(--gap); fill-opacity: 0.25; }
.under { fill: var(--paper); fill-opacity: 0.5; }
.reliability text { font-size: 11px; }
.count { fill: var(--soft); }
.bars svg { margin-top: 10px; }

.pair {
  display: grid; gap: 32px 48px; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr));
}
.reliability svg { margin-top: 10px; max-width: 440px; }
details { margin-top: 10px; max-width: 440px; font-size: 13.5px; }
summary { color: var(--soft); cursor: pointer; }
details td, details thead th { text-align: right; padding: 2px 0; }
details thead th { color: var(--soft); }
details thead th:first-child { text-align: left; }

.strips {
  display: grid; gap: 20px 48px; margin-top: 14px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 510px), 1fr));
}
.strip { min-width: 0; }
.strip figcaption { font-size: 14px; margin-bottom: 4px; }
.strip ol {
  display: flex; gap: 6px; list-style: none; overflow-x: auto;
}
.strip li { flex: none; width: 80px; font-size: 12.5px; line-height: 1.3; }
.strip img {
  display: block; width: 80px; height: 80px; margin-bottom: 4px;
  object-fit: contain; box-sizing: content-box;
  border-bottom: 3px solid transparent;
}
.strip .coarse { image-rendering: pixelated; }
.strip .wrong img { border-color: var(--wrong); }
.strip .right span { color: var(--right); }
.strip .wrong span { color: var(--wrong); font-weight: 600; }
.strip li span, .strip li small {
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2;
  overflow: hidden; overflow-wrap: anywhere;
}
.strip small { color: var(--soft); font-size: 12px; }
.frames { max-width: 510px; margin-top: 6px; }
.frames .same { fill: var(--soft); }
.frames .other { fill: var(--gap); }
.notes { color: var(--soft); max-width: 80ch; font-size: 14px; }
.notes h3 { color: var(--ink); }
.notes ul { padding-left: 18px; }
.notes li { margin-top: 4px; overflow-wrap: anywhere; }

@media (max-width: 900px) {
  .body { grid-template-columns: minmax(0, 1fr); grid-template-rows: none; }
  .body > .scroll, .body > .beside { grid-column: 1; grid-row: auto; }
}
@media (max-width: 480px) {
  main { padding: 24px 16px 40px; }
  h1 { font-size: 25px; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
  .cards strong { font-size: 22px; }
  svg .name { font-size: 12px; letter-spacing: -0.01em; }
  .values th, .values td { font-size: 12px; padding-left: 6px; }
  .heat td[style] { padding: 3px 1px; border-width: 1px; }
}
@media print {
  main { max-width: none; padding: 0; }
  nav { display: none; }
  tr, figure, .cards li { break-inside: avoid; }
  h2, h3, .legend { break-after: avoid; }
  .scroll, .strip ol { overflow: visible; }
}
"""
