"""The style sheet of the report: system fonts, one column on a phone, folding tables."""

STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
color:#222;background:#f6f6f4}
header,main{max-width:1120px;margin:0 auto;padding:0 16px}
header{padding-top:28px}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 6px}
h2{font-size:1.15rem;margin:0 0 10px}
section{background:#fff;border:1px solid #dddcd6;border-radius:8px;padding:18px;margin:16px 0}
.note{color:#555;font-size:.86rem;max-width:72ch;margin:10px 0 0}
code{font-size:.85em;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr));gap:18px}
figure{margin:0;max-width:460px;min-width:0}
figcaption{font-weight:600;font-size:.9rem;margin-bottom:4px;overflow-wrap:anywhere}
figure svg{width:100%;height:auto;display:block;font-size:12px;fill:#222}
svg .small{font-size:11px;fill:#444}
.legend{list-style:none;margin:4px 0 0;padding:0;font-size:.82rem;display:flex;flex-wrap:wrap;
gap:2px 14px}
.legend li{display:flex;align-items:center;gap:4px;overflow-wrap:anywhere}
.legend .key{width:16px;height:16px;flex:none}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th,td{text-align:left;vertical-align:top;padding:6px 8px;border-bottom:1px solid #e6e5e0}
thead th{font-size:.78rem;color:#555;font-weight:600}
td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.badge{display:inline-block;white-space:nowrap;border-radius:4px;padding:0 7px;font-weight:600;
border:1.5px solid}
.good{color:#00558a;border-color:#0072b2;background:#e8f3fa}
.bad{color:#8f3d00;border-color:#d55e00;background:#fdeee3}
.note.badge,.badge.note{margin:0;font-size:inherit;color:#5d3a55;border-color:#a8608a;background:#f8eef4}
.none{color:#555;border-color:#aaa;background:#f4f4f4}
.heat{table-layout:fixed;max-width:720px;font-size:.8rem}
.heat th,.heat td{text-align:center;padding:5px 1px;border:1px solid #fff}
.heat thead th{font-size:.7rem}
.heat .unsure{background:#ececec;color:#666}
.heat .absent{background:#fafafa;color:#bbb}
@media (max-width:700px){
section{padding:14px;margin:12px 0}
header,main{padding-left:10px;padding-right:10px}
.fold thead{display:none}
.fold,.fold tbody,.fold tr,.fold td{display:block;width:100%}
.fold tr{border-bottom:2px solid #dddcd6;padding:6px 0}
.fold td{border:0;padding:1px 0;display:grid;grid-template-columns:8.2em 1fr;gap:8px}
.fold .badge{justify-self:start}
.fold td::before{content:attr(data-name);color:#555;font-size:.8rem}
}
@media print{body{background:#fff}section{break-inside:avoid;border:0}}
"""
