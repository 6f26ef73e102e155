// Zoom and hover for the shared time axis. The page says everything without it; this only looks closer.
"use strict";
(() => {
  const svg = document.querySelector("svg.timeline.live");
  const holder = document.getElementById("data");
  if (!svg || !holder) return;
  const data = JSON.parse(holder.textContent);
  document.documentElement.classList.add("scripted");
  const NS = svg.namespaceURI;
  const number = (name) => Number(svg.dataset[name]);
  const [left, right, top, bottom] = ["left", "right", "top", "bottom"].map(number);
  const whole = [number("from"), number("to")];
  let [from, to] = whole;

  const make = (name, attributes, parent) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.appendChild(element);
    return element;
  };
  const x = (t) => left + ((t - from) / (to - from)) * (right - left);
  const seconds = (s) => {
    const a = Math.abs(s);
    if (a >= 1 || a === 0) return s.toFixed(3) + " s";
    return a >= 1e-3 ? (s * 1e3).toFixed(3) + " ms" : (s * 1e6).toFixed(1) + " µs";
  };

  // What moves as a whole is scaled; what has a width of its own (states) is placed anew, so that its text stays text.
  const paths = [...svg.querySelectorAll(".moves > path")];
  const spans = [...svg.querySelectorAll("[data-a]")].map((rect) => {
    const next = rect.nextElementSibling;
    return {
      rect, a: Number(rect.dataset.a), b: Number(rect.dataset.b),
      least: Number(rect.getAttribute("width")) < 3 ? 2 : 0.7,
      text: next && next.tagName === "text" ? next : null,
      title: rect.querySelector("title").textContent,
    };
  });
  for (const span of spans) {
    if (span.text || !span.rect.classList.contains("span")) continue;
    const said = span.title.match(/: (.*) from [\d.]+ s to /);
    if (!said) continue;
    span.text = make("text", { class: "in", y: Number(span.rect.getAttribute("y")) + Number(span.rect.getAttribute("height")) - 2.8 }, span.rect.parentNode);
    span.text.textContent = said[1];
  }
  const clip = svg.querySelector("clipPath rect");
  const cut = make("clipPath", { id: "cut-plot" }, svg);
  make("rect", { x: left, y: 0, width: right - left, height: clip.getAttribute("height") }, cut);
  for (const group of svg.querySelectorAll(".moves")) group.setAttribute("clip-path", "url(#cut-plot)");
  const faults = [...svg.querySelectorAll(".fault")].map((group) => ({ group, at: Number(group.dataset.at), base: x(Number(group.dataset.at)) }));
  const axis = svg.querySelector(".axis");
  const cross = make("line", { class: "cross", y1: top, y2: bottom, x1: -9, x2: -9 }, svg);
  const brush = make("rect", { class: "brush", y: top, height: bottom - top, x: 0, width: 0 }, svg);

  const ticks = () => {
    axis.textContent = "";
    const rough = (to - from) / 8, ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * ten).find((s) => s >= rough * 0.999999);
    const decimals = Math.min(9, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    for (let t = Math.ceil(from / step) * step; t <= to + step * 1e-6; t += step) {
      make("line", { class: "grid", x1: x(t), x2: x(t), y1: top, y2: bottom }, axis);
      make("text", { class: "tick", x: x(t), y: bottom + 14, "text-anchor": "middle" }, axis).textContent = t.toFixed(decimals) + " s";
    }
  };

  const draw = () => {
    const k = (whole[1] - whole[0]) / (to - from);
    const shift = left - (left + ((from - whole[0]) / (whole[1] - whole[0])) * (right - left)) * k;
    for (const path of paths) path.setAttribute("transform", `matrix(${k} 0 0 1 ${shift} 0)`);
    for (const { rect, a, b, least, text } of spans) {
      const seen = b >= from && a <= to;
      rect.style.display = seen ? "" : "none";
      if (text) text.style.display = "none";
      if (!seen) continue;
      const start = Math.max(left, x(a)), wide = Math.max(least, Math.min(right, x(b)) - start);
      rect.setAttribute("x", start);
      rect.setAttribute("width", wide);
      if (text && wide > text.textContent.length * 5.6 + 6) {
        text.style.display = "";
        text.setAttribute("x", start + 4);
      }
    }
    for (const { group, at, base } of faults) {
      group.style.display = at >= from && at <= to ? "" : "none";
      group.setAttribute("transform", `translate(${x(at) - base} 0)`);
    }
    ticks();
    svg.dataset.shown = `${from} ${to}`;
  };

  const show = (a, b) => {
    const least = 1e-5, wide = Math.min(whole[1] - whole[0], Math.max(least, b - a));
    from = Math.min(Math.max(whole[0], a), whole[1] - wide);
    to = from + wide;
    draw();
  };

  const time = (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    return from + ((Math.min(right, Math.max(left, at)) - left) / (right - left)) * (to - from);
  };

  const tools = document.querySelector("#time .tools");
  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    tools.appendChild(made);
  };
  button("Whole run", () => show(...whole));
  data.faults.slice(0, 12).forEach((fault, i) => {
    const margin = Math.max(0.05, (fault.end - fault.at) * 0.1);
    button(`Fault ${i + 1}: ${fault.name}`, () => show(fault.at - margin, fault.end + margin));
  });
  button("+", () => show(from + (to - from) / 4, to - (to - from) / 4));
  button("−", () => show(from - (to - from) / 2, to + (to - from) / 2));

  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const t = time(event), by = event.deltaY > 0 ? 1.25 : 0.8;
    show(t - (t - from) * by, t + (to - t) * by);
  }, { passive: false });
  svg.addEventListener("dblclick", () => show(...whole));
  let begun = null;
  svg.addEventListener("pointerdown", (event) => { if (event.button === 0) begun = time(event); });
  window.addEventListener("pointerup", (event) => {
    if (begun === null) return;
    const ended = time(event), [a, b] = [Math.min(begun, ended), Math.max(begun, ended)];
    begun = null;
    brush.setAttribute("width", 0);
    if (b - a > (to - from) * 0.01) {
      // A drag that ends over a link follows none.
      window.addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
      setTimeout(() => show(a, b), 0);
    }
  });

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.appendChild(tip);
  const line = (parts) => {
    const row = document.createElement("div");
    for (const [text, tag, name] of parts) {
      const element = document.createElement(tag || "span");
      if (name) element.className = name;
      element.textContent = text;
      row.appendChild(element);
    }
    tip.appendChild(row);
  };
  const binAt = (series, t) => {
    for (const s of series) {
      const i = Math.floor((t - s.from) / s.bin + 1e-9);
      if (i >= 0 && i < s.lost.length) return { bin: s.bin, delivered: s.delivered[i], lost: s.lost[i] };
    }
    return null;
  };
  svg.addEventListener("pointermove", (event) => {
    const t = time(event);
    cross.setAttribute("x1", x(t));
    cross.setAttribute("x2", x(t));
    if (begun !== null) {
      brush.setAttribute("x", Math.min(x(begun), x(t)));
      brush.setAttribute("width", Math.abs(x(t) - x(begun)));
    }
    tip.textContent = "";
    line([[t.toFixed(to - from < 1 ? 6 : 3) + " s", "b"]]);
    const before = data.faults.filter((f) => f.at <= t).pop();
    if (before) line([[seconds(t - before.at) + " after " + before.name]]);
    const span = spans.find((s) => s.rect === event.target);
    if (span) line([[span.title]]);
    for (const flow of data.flows.slice(0, 10)) {
      const bin = binAt(flow.series, t);
      if (!bin || bin.delivered + bin.lost === 0) continue;
      const parts = [[`${flow.name}: ${(bin.delivered / bin.bin).toFixed(0)}/s`]];
      if (bin.lost) parts.push([` ${(bin.lost / bin.bin).toFixed(0)}/s lost`, "span", "l"]);
      line(parts);
    }
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const beside = event.clientX + 16 + box.width < innerWidth ? event.clientX + 16 : event.clientX - box.width - 16;
    tip.style.left = Math.max(4, beside) + "px";
    tip.style.top = Math.max(4, Math.min(innerHeight - box.height - 4, event.clientY + 16)) + "px";
  });
  svg.addEventListener("pointerleave", () => {
    tip.hidden = true;
    cross.setAttribute("x1", -9);
    cross.setAttribute("x2", -9);
  });
  draw();
})();
