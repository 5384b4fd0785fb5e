"use strict";
(() => {
  const run = JSON.parse(document.getElementById("run").textContent);
  const get = (id) => document.getElementById(id);
  const make = (tag, text, cls) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;  // never markup: names and reasons are not trusted
    if (cls) element.className = cls;
    return element;
  };
  const lanes = get("lanes"), names = get("names"), axis = get("axis"), picture = get("picture");
  const cls = Object.fromEntries(run.stages.map((stage) => [stage.name, stage.class]));
  const groups = run.machines.map((machine, i) => get("m" + i));
  const seconds = (ms) => (ms / 1000).toFixed(3) + " s";
  let from = 0, to = run.end, thickness = 1, pinned = -1, shown = [];

  const last = (machine) => machine.stages.length ? machine.stages[machine.stages.length - 1].stage : "off";
  const bootTime = (machine) => {
    const ready = machine.stages.find((change) => change.stage === "ready");
    return ready ? ready.at - machine.stages[0].at : machine.stages.length ? Infinity : -1;
  };
  const fits = (machine, words) => !words.length || words.some((word) =>
    last(machine) === word || machine.role === word ||
    new RegExp("^" + word.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".") + "$").test(machine.name));
  const orders = {
    place: (a, b) => run.machines[a].place - run.machines[b].place,
    plan: (a, b) => a - b,
    slow: (a, b) => bootTime(run.machines[b]) - bootTime(run.machines[a]) || a - b,
  };

  // Puts the lanes that are to be seen below one another, each beside its name where there is room.
  function stack() {
    const words = get("filter").value.split(/[\s,]+/).filter(Boolean);
    const chosen = run.machines.map((_, i) => i).filter((i) => fits(run.machines[i], words)).sort(orders[get("order").value]);
    const few = Math.min(18, Math.floor(560 / Math.max(chosen.length, 1)));
    let y = 0, free = 0;
    names.replaceChildren();
    shown = [];
    groups.forEach((group) => { group.style.display = "none"; });
    for (const i of chosen) {
      const height = Math.max(run.machines[i].height, few) * thickness;
      groups[i].style.display = "";
      groups[i].setAttribute("transform", `translate(0 ${y}) scale(1 ${height})`);
      groups[i].classList.toggle("pinned", i === pinned);
      shown.push({ machine: i, y, height });
      if (y >= free + (height >= 11 ? 0 : 8) || i === pinned) {
        const name = make("span", run.machines[i].name, i === pinned ? "pinned" : last(run.machines[i]) === "failed" ? "bad" : "");
        name.style.top = y + (height >= 11 ? height / 2 : 5) + "px";
        names.append(name);
        free = y + (height >= 11 ? 11 : 28);
      }
      y += height;
    }
    lanes.style.height = Math.max(y, 12) + "px";
    lanes.dataset.units = Math.max(y, 12);
    lanes.querySelectorAll(".band").forEach((band) => band.setAttribute("height", y));
    lanes.querySelectorAll(".edge").forEach((edge) => edge.setAttribute("d", edge.getAttribute("d").replace(/V[\d.]+/g, "V" + y)));
    look();
  }

  // Shows the time between `from` and `to` in all plots.
  function look() {
    document.querySelectorAll(".plot").forEach((plot) => {
      const units = plot === lanes ? lanes.dataset.units : plot.getAttribute("viewBox").split(" ")[3];
      plot.setAttribute("viewBox", `${from} 0 ${to - from} ${units}`);
    });
    document.querySelectorAll(".labels span").forEach((label) => {
      const at = Number(label.dataset.at);
      label.style.left = 100 * Math.max(at - from, 0) / (to - from) + "%";
      label.style.display = at > to || (at < from && label.parentNode.classList.contains("marks")) ? "none" : "";
    });
    axis.replaceChildren();
    let step = 10 ** Math.floor(Math.log10((to - from) / 12));
    for (const factor of [2, 2.5, 2]) if ((to - from) / step > 12) step *= factor;
    const digits = Math.max(0, 3 - Math.floor(Math.log10(step) + 1e-9));
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const tick = make("span", (at / 1000).toFixed(digits) + " s");
      tick.style.left = 100 * (at - from) / (to - from) + "%";
      axis.append(tick);
    }
  }

  const timeAt = (event) => {
    const box = lanes.getBoundingClientRect();
    return from + (to - from) * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const laneAt = (event) => {
    const y = event.clientY - lanes.getBoundingClientRect().top;
    return shown.find((lane) => y >= lane.y && y < lane.y + lane.height);
  };

  const tip = make("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  function explain(event) {
    const lane = laneAt(event);
    tip.hidden = !lane;
    if (!lane) return;
    const machine = run.machines[lane.machine], at = timeAt(event);
    const change = machine.stages.filter((stage) => stage.at <= at).pop();
    tip.replaceChildren(make("b", machine.name), make("div", `${change ? change.stage : "off"} at ${seconds(at)}` + (change ? `, since ${seconds(change.at)}` : "")));
    if (machine.reason && change && change.stage === "failed") tip.append(make("div", machine.reason));
    const faults = run.faults.filter((fault) => fault.from <= at && (fault.to === undefined || at <= fault.to));
    faults.slice(0, 5).forEach((fault) => tip.append(make("div", "fault: " + fault.text)));
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 10) + "px";
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 10) + "px";
  }

  // The times of one machine, below the picture.
  function pin(index) {
    pinned = index;
    const machine = run.machines[index], table = make("table"), one = get("one");
    machine.stages.forEach((change, i) => {
      const row = make("tr"), cell = make("td"), next = machine.stages[i + 1];
      cell.append(make("i", "", cls[change.stage]), change.stage);
      row.append(cell, make("td", "at " + seconds(change.at)), make("td", next ? "for " + seconds(next.at - change.at) : ""));
      table.append(row);
    });
    one.replaceChildren(make("h3", `${machine.name} (${machine.role})`));
    if (machine.reason) one.append(make("p", machine.reason));
    one.append(machine.stages.length ? table : make("p", "never switched on"));
    stack();
  }

  let dragFrom = null;
  const shade = make("div");
  shade.id = "shade";
  shade.hidden = true;
  picture.append(shade);
  lanes.addEventListener("pointerdown", (event) => {
    dragFrom = event;
    lanes.setPointerCapture(event.pointerId);
  });
  lanes.addEventListener("pointermove", (event) => {
    explain(event);
    if (!dragFrom) return;
    const box = lanes.getBoundingClientRect(), around = picture.getBoundingClientRect();
    const left = Math.max(box.left, Math.min(dragFrom.clientX, event.clientX)), right = Math.min(box.right, Math.max(dragFrom.clientX, event.clientX));
    shade.hidden = right - left < 4;
    Object.assign(shade.style, { left: left - around.left + "px", width: right - left + "px", top: box.top - around.top + "px", height: box.height + "px" });
  });
  lanes.addEventListener("pointerup", (event) => {
    const a = timeAt(dragFrom), b = timeAt(event), far = Math.abs(event.clientX - dragFrom.clientX) > 4, lane = laneAt(event);
    dragFrom = null;
    shade.hidden = true;
    if (far && b !== a) { [from, to] = [Math.min(a, b), Math.max(a, b)]; look(); } else if (lane) { pin(lane.machine); }
  });
  lanes.addEventListener("pointerleave", () => { tip.hidden = true; });
  const all = () => { [from, to] = [0, to - from < run.end ? run.end : to === run.end ? run.whole : run.end]; look(); };
  lanes.addEventListener("dblclick", all);
  get("all").addEventListener("click", all);
  get("thick").addEventListener("click", () => { thickness = thickness >= 16 ? 1 : thickness * 2; stack(); });
  get("filter").addEventListener("input", stack);
  get("order").addEventListener("change", stack);
  document.querySelectorAll(".who").forEach((button) => button.addEventListener("click", () => {
    pin(run.machines.findIndex((machine) => machine.name === button.textContent));
    get("timeline").scrollIntoView({ behavior: "smooth" });
  }));
  stack();
})();
