// What the pages look like, and the little that moves on them.
#pragma once

namespace tplora::core {

/// Colours are named once, for light and dark. Letters and signs say everything that colours say.
inline constexpr const char* kPageStyle = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d1d9e0;--box:#f6f8fa;--bad:#b42318;--badbg:#fde7e4;
--warn:#7a4d00;--warnbg:#fff1cc;--ok:#1a6b34;--q:#b6d4fe;--k:#b7e4c7;--v:#ffd8a8;--none:#e5e7eb;--ink:#1b1f24}
@media(prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e6edf3;--dim:#9aa5b1;--line:#30363d;--box:#161b22;--bad:#ff8a80;
--badbg:#4a1512;--warn:#ffd37a;--warnbg:#3f3000;--ok:#7ee2a0;--q:#1f4b8e;--k:#1d5b38;--v:#7a4a10;--none:#333a43;--ink:#f0f6fc}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
main{max-width:1200px;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
code,pre,.m{font:13px/1.45 ui-monospace,monospace}
.dim{color:var(--dim)}.bad{color:var(--bad);font-weight:600}.ok{color:var(--ok)}
.chips{display:flex;flex-wrap:wrap;gap:.5rem;margin:.8rem 0}
.chips span{border:1px solid var(--line);border-radius:1rem;padding:.1rem .7rem;background:var(--box)}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px}
.scroll:focus-visible{outline:2px solid var(--fg)}
table{border-collapse:collapse;width:100%}
th,td{padding:.15rem .5rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
.grid td,.grid th{white-space:nowrap}
.grid td+td+td,.grid th+th+th{text-align:center;font-family:ui-monospace,monospace;padding:.15rem .3rem}
.S,.C,.E{background:var(--badbg);color:var(--bad);font-weight:700}.r{color:var(--dim)}.w{background:var(--warnbg);color:var(--warn)}
.S a,.C a,.E a{color:inherit}
.tools{display:flex;flex-wrap:wrap;gap:.8rem;align-items:center;margin:.8rem 0;padding:.6rem;background:var(--box);border:1px solid var(--line);border-radius:6px}
.tools input[type=search],.tools select{font:inherit;padding:.2rem .4rem;max-width:100%}
section.engine{content-visibility:auto;contain-intrinsic-size:auto 400px}
article{border:1px solid var(--line);border-radius:6px;margin:1rem 0;padding:.8rem 1rem}
article h3{margin-top:0;overflow-wrap:anywhere}
.place{overflow-wrap:anywhere}
.replay{display:flex;gap:.5rem;align-items:flex-start;margin:.6rem 0}
.replay code{flex:1;min-width:0;overflow-wrap:anywhere;background:var(--box);border:1px solid var(--line);border-radius:4px;padding:.3rem .5rem}
button{font:inherit;padding:.15rem .6rem}
svg{display:block;min-width:640px;width:100%;height:auto}
h4{margin:.8rem 0 .2rem;font-size:.95rem}
svg text{font:12px ui-monospace,monospace;fill:var(--ink)}svg .t{fill:var(--fg)}svg .x{fill:var(--bad);font-weight:700;paint-order:stroke;stroke:var(--bg);stroke-width:4px}
.pq{fill:var(--q)}.pk{fill:var(--k)}.pv{fill:var(--v)}.pn{fill:var(--none)}svg.defs{position:absolute;width:0;height:0;min-width:0}
.edge-box{stroke:var(--bg);stroke-width:1}
.wrong{stroke:var(--bad);stroke-width:3}.hatch{stroke:var(--bad);stroke-width:2}
[hidden]{display:none!important}
@media(max-width:500px){main{padding:.6rem}th,td{padding:.15rem .3rem}.grid td:nth-child(2),.grid th:nth-child(2){display:none}
.grid td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:7rem}article{padding:.5rem}svg{min-width:0}}
)css";

/// Filters the grid and copies lines. Without it the page says the same.
inline constexpr const char* kPageScript = R"js(
(()=>{const words=document.getElementById('words'),engine=document.getElementById('engine'),bad=document.getElementById('bad');
const apply=()=>{if(!words)return;const w=words.value.toLowerCase().split(/\s+/).filter(Boolean);
for(const s of document.querySelectorAll('section.engine')){let any=false;
const here=!engine.value||s.dataset.engine===engine.value;
for(const r of s.querySelectorAll('tbody tr')){const t=r.cells[0].textContent.toLowerCase();
const show=here&&w.every(x=>t.includes(x))&&(!bad.checked||r.querySelector('.S,.C,.E,.w'));r.hidden=!show;any=any||show}
s.hidden=!any}};
for(const e of [words,engine,bad])if(e)e.addEventListener('input',apply);
document.addEventListener('click',e=>{const b=e.target.closest('button.copy');if(!b)return;
const c=b.parentElement.querySelector('code'),r=document.createRange();r.selectNodeContents(c);
const s=getSelection();s.removeAllRanges();s.addRange(r);
if(navigator.clipboard)navigator.clipboard.writeText(c.textContent).then(()=>{b.textContent='copied'},()=>{});});
})();
)js";

}  // namespace tplora::core
