"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const count = DATA.names.length;
  const axes = DATA.axes;
  const key = "nst favourites " + DATA.run;
  const state = { rows: -1, cols: -1, filters: {}, sort: "plan", only: false, first: null };
  let favorites = new Set();
  try {
    favorites = new Set(JSON.parse(localStorage.getItem(key) || "[]"));
  } catch { /* a page from disk may have no storage; favorites then last as long as the page */ }
  let order = [];      // jobs as shown, for the viewer's arrows
  let current = 0;     // place in order
  const details = new Map();
  const waiting = new Map();

  // --- small helpers ---
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name in element && name !== "list") element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const encode = (path) => path.split("/").map(encodeURIComponent).join("/");
  const thumb = (name) => `report/thumbs/${name}.webp`;
  const image = (job) => "images/" + encode(DATA.names[job] + DATA.suffixes[job]);
  const failed = (job) => DATA.error[job] >= 0;
  const describe = (job) => axes.map((a) => `${a.name} ${a.labels[a.column[job]]}`).join(", ");
  const size = (job) => (Array.isArray(DATA.sizes[0]) ? DATA.sizes[job] : DATA.sizes);
  const shown = (value) =>
    value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);

  // --- choices ---
  const several = axes.map((a, i) => i).filter((i) => axes[i].labels.length > 1);
  state.rows = several.length ? several[0] : -1;
  state.cols = several.length > 1 ? several[1] : -1;

  const fillSelect = (select, chosen) => {
    select.replaceChildren(
      make("option", { value: -1, textContent: "none" }),
      ...axes.map((a, i) => make("option", { value: i, textContent: a.name })));
    select.value = chosen;
  };
  const fillFilters = () => {
    const free = several.filter((i) => i !== state.rows && i !== state.cols);
    for (const i of Object.keys(state.filters)) if (!free.includes(+i)) delete state.filters[i];
    $("filters").replaceChildren(...free.map((i) => {
      if (!(i in state.filters)) state.filters[i] = state.rows < 0 || state.cols < 0 ? -1 : 0;
      const select = make("select", { id: "filter-" + axes[i].name });
      select.append(make("option", { value: -1, textContent: "all" }),
        ...axes[i].labels.map((text, v) => make("option", { value: v, textContent: text })));
      select.value = state.filters[i];
      select.onchange = () => { state.filters[i] = +select.value; draw(); };
      return make("label", {}, axes[i].name + " ", select);
    }));
  };

  // --- the grid ---
  const value = (job) => {
    if (state.sort === "seconds") return DATA.seconds[job];
    const loss = DATA.losses[state.sort][job];
    return loss === null ? Infinity : loss;
  };
  const chosenJobs = () => {
    const wanted = Object.entries(state.filters).filter(([, v]) => v >= 0);
    const jobs = [];
    for (let job = 0; job < count; job++) {
      if (state.only && !favorites.has(DATA.names[job])) continue;
      if (wanted.every(([i, v]) => axes[i].column[job] === v)) jobs.push(job);
    }
    if (state.sort !== "plan") {
      jobs.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a - b));
    }
    return jobs;
  };
  const header = (axis, v, className) => {
    const label = make("div", { className });
    const name = axis.thumbs.length ? axis.thumbs[v] : null;
    if (name) label.append(make("img", { src: thumb(name), alt: "", loading: "lazy" }));
    label.append(make("span", { textContent: axis.labels[v], title: axis.labels[v] }));
    return label;
  };
  const cell = (jobs) => {
    const box = make("div", { className: "cell" });
    if (!jobs || !jobs.length) return box;
    const job = jobs[0];
    const tile = make("button", { type: "button", className: "tile", tabIndex: -1 });
    tile.dataset.job = job;
    tile.setAttribute("aria-label", (failed(job) ? "failed: " : "") + describe(job));
    if (failed(job)) {
      tile.classList.add("failed");
      // Without the folders: there is little room, and the viewer has all of it.
      tile.append("failed: " + DATA.errors[DATA.error[job]].replace(/^.*\/([^/]*: )/, "$1"));
    } else {
      const src = DATA.thumbs[job] ? thumb(DATA.thumbs[job]) : image(job);
      tile.append(make("img", { src, alt: describe(job), loading: "lazy", decoding: "async" }));
    }
    tile.onclick = () => open(job);
    const star = make("button", { type: "button", className: "star", textContent: "★", tabIndex: -1 });
    star.setAttribute("aria-label", "favorite");
    star.setAttribute("aria-pressed", favorites.has(DATA.names[job]));
    star.onclick = () => toggle(job);
    box.append(tile, star);
    if (jobs.length > 1) {
      box.append(make("span", { className: "badge", textContent: jobs.length,
        title: jobs.length + " pictures here; the first is shown" }));
    }
    const loss = DATA.losses.total[job];
    const caption = state.rows < 0 && state.cols < 0 ? DATA.names[job]
      : loss === null ? "" : "loss " + loss;
    box.append(make("small", { textContent: caption, title: caption }));
    return box;
  };

  const SPAN = 24; // cells that are built at once
  const BLOCK = 20; // rows that are built at once
  let watcher = null;
  const builders = new WeakMap();
  const lazily = (element, build) => {
    builders.set(element, build);
    watcher.observe(element);
  };
  const draw = () => {
    fillFilters();
    const jobs = chosenJobs();
    const rows = axes[state.rows], cols = axes[state.cols];
    const grid = $("grid");
    const side = parseInt($("zoom").value, 10);
    document.documentElement.style.setProperty("--t", side + "px");
    if (watcher) watcher.disconnect();
    watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        builders.get(entry.target)();
      }
    }, { root: grid, rootMargin: "400px" });

    let lines; // [row value or -1, cells]
    if (!rows && !cols) {
      const fit = Math.max(1, Math.floor(grid.clientWidth / (side + 8)));
      lines = [];
      for (let i = 0; i < jobs.length; i += fit) {
        lines.push([-1, jobs.slice(i, i + fit).map((job) => [job])]);
      }
    } else {
      const table = new Map(), used = new Set();
      for (const job of jobs) {
        const r = rows ? rows.column[job] : 0, c = cols ? cols.column[job] : 0;
        if (!table.has(r)) table.set(r, new Map());
        const line = table.get(r);
        if (!line.has(c)) line.set(c, []);
        line.get(c).push(job);
        used.add(c);
      }
      const across = [...used].sort((a, b) => a - b);
      let down = [...table.keys()];
      if (state.sort === "plan") down.sort((a, b) => a - b);
      if (!cols) { // one row's jobs side by side
        lines = down.map((r) => [rows ? r : -1, [...table.get(r).values()].flat().map((j) => [j])]);
      } else {
        lines = down.map((r) => [rows ? r : -1, across.map((c) => table.get(r).get(c) || null)]);
        lines.across = across;
      }
    }
    order = lines.flatMap(([, cells]) => cells.flatMap((jobs) => jobs || []));
    const parts = [];
    if (lines.across) {
      const head = make("div", { className: "head" });
      if (rows) head.append(make("div", { className: "label" }));
      for (let i = 0; i < lines.across.length; i += SPAN) {
        const some = lines.across.slice(i, i + SPAN);
        const part = make("div", { className: "part" });
        part.style.width = `calc((var(--t) + 8px) * ${some.length})`;
        part.style.height = "92px";
        lazily(part, () => part.append(...some.map((c) => header(cols, c, "col"))));
        head.append(part);
      }
      parts.push(head);
    }
    for (let b = 0; b < lines.length; b += BLOCK) {
      const some = lines.slice(b, b + BLOCK);
      const block = make("div");
      block.style.height = `calc((var(--t) + 26px) * ${some.length})`;
      block.style.minWidth = `calc((var(--t) + 8px) * ${some[0][1].length})`;
      lazily(block, () => block.append(...some.map(([r, cells]) => {
        const line = make("div", { className: "row" });
        if (rows && r >= 0) line.append(header(rows, r, "label"));
        for (let i = 0; i < cells.length; i += SPAN) {
          const few = cells.slice(i, i + SPAN);
          const part = make("div", { className: "part" });
          part.style.width = `calc((var(--t) + 8px) * ${few.length})`;
          lazily(part, () => {
            part.append(...few.map(cell));
            if (!grid.querySelector(".tile[tabindex='0']")) {
              const first = grid.querySelector(".tile");
              if (first) first.tabIndex = 0;
            }
          });
          line.append(part);
        }
        return line;
      })));
      parts.push(block);
    }
    grid.replaceChildren(...parts);
    grid.scrollTop = 0;
    $("shown").textContent = `${jobs.length} of ${count} jobs shown`;
    $("count").textContent = favorites.size;
  };

  // --- keys in the grid: the tile that lies nearest in the arrow's direction ---
  $("grid").addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    if (event.key === "f") { toggle(+tile.dataset.job); return; }
    if (event.key === "c") { choose(+tile.dataset.job); return; }
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in way)) return;
    event.preventDefault();
    const [dx, dy] = way[event.key];
    const from = tile.getBoundingClientRect();
    let best = null, distance = Infinity;
    for (const other of $("grid").querySelectorAll(".tile")) {
      const to = other.getBoundingClientRect();
      const x = to.left - from.left, y = to.top - from.top;
      const along = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (along > 4 && aside < 4 && along < distance) { best = other; distance = along; }
    }
    if (!best) return;
    tile.tabIndex = -1;
    best.tabIndex = 0;
    best.focus();
    best.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  // --- favorites ---
  const toggle = (job) => {
    const name = DATA.names[job];
    if (!favorites.delete(name)) favorites.add(name);
    try { localStorage.setItem(key, JSON.stringify([...favorites])); } catch { /* as above */ }
    const pressed = favorites.has(name);
    for (const tile of document.querySelectorAll(`.tile[data-job='${job}']`)) {
      tile.parentElement.querySelector(".star").setAttribute("aria-pressed", pressed);
    }
    $("count").textContent = favorites.size;
    showStar(job);
    if (state.only && !$("viewer").open) draw();
  };
  const yaml = (value) => JSON.stringify(value); // JSON is YAML
  const larger = (size, factor) => {
    if (size === "original") return size; // nothing is there to make more of
    const side = (px) => Math.max(16, Math.round(px * factor));
    return typeof size === "string" ? size.split("x").map((px) => side(+px)).join("x") : side(size);
  };
  const manifest = (factor) => {
    const settings = { ...DATA.settings };
    if ("size" in settings) settings.size = larger(settings.size, factor);
    const lines = [`output: ${yaml(DATA.run + "-favorites")}`, `backbone: ${yaml(DATA.backbone)}`];
    lines.push("settings:", ...Object.entries(settings).map(([k, v]) => `  ${k}: ${yaml(v)}`));
    lines.push("pairs:");
    DATA.names.forEach((name, job) => {
      if (!favorites.has(name)) return;
      const own = {};
      for (const axis of axes.slice(2)) {
        const v = axis.values[axis.column[job]];
        if (v !== null) own[axis.name] = axis.name === "size" ? larger(v, factor) : v;
      }
      const style = structuredClone(axes[1].values[axes[1].column[job]]);
      const paths = Object.keys(style.parts);
      if ("blend" in own) for (const path of paths) style.parts[path] = 1; // own.blend decides
      const shownStyle = Object.keys(style.regions).length
        ? { name: style.name, regions: style.regions }
        : paths.length === 1 ? paths[0] : { name: style.name, blend: style.parts };
      const content = axes[0].values[axes[0].column[job]];
      lines.push(`  - content: ${yaml(content)}`);
      if (DATA.masks[content]) lines.push(`    mask: ${yaml(DATA.masks[content])}`);
      if (DATA.keeps[content]) lines.push(`    keep: ${yaml(DATA.keeps[content])}`);
      lines.push(`    style: ${yaml(shownStyle)}`, `    settings: ${yaml(own)}`);
    });
    return lines.join("\n") + "\n";
  };
  $("export").onclick = () => {
    if (!favorites.size) {
      $("shown").textContent = "no favorites yet: press f on a picture, or its star";
      return;
    }
    const file = new Blob([manifest(+$("factor").value)], { type: "application/yaml" });
    const link = make("a", { href: URL.createObjectURL(file), download: "favorites.yaml" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // --- the viewer ---
  window.nstDetail = (number, rows) => {
    details.set(number, rows);
    for (const resolve of waiting.get(number) || []) resolve();
    waiting.delete(number);
  };
  const detail = async (job) => {
    const number = Math.floor(job / DATA.chunk);
    if (!details.has(number)) {
      await new Promise((resolve) => {
        if (waiting.has(number)) { waiting.get(number).push(resolve); return; }
        waiting.set(number, [resolve]);
        const src = `report/detail/${String(number).padStart(5, "0")}.js`;
        const script = make("script", { src });
        script.onerror = () => { details.set(number, []); resolve(); };
        document.head.append(script);
      });
    }
    return details.get(number)[job % DATA.chunk];
  };
  const list = (pairs) => make("dl", {}, ...pairs.flatMap(([name, text]) =>
    [make("dt", { textContent: name }), make("dd", { textContent: text })]));
  const showStar = (job) => {
    if (order[current] !== job) return;
    const on = favorites.has(DATA.names[job]);
    $("star").setAttribute("aria-pressed", on);
    $("star").textContent = on ? "★ favorite" : "☆ favorite";
  };
  const show = async () => {
    const job = order[current];
    $("name").textContent = DATA.names[job];
    $("full").hidden = failed(job);
    $("full").alt = describe(job);
    if (failed(job)) $("full").removeAttribute("src"); else $("full").src = image(job);
    $("why").textContent = failed(job) ? "failed: " + DATA.errors[DATA.error[job]] : "";
    showStar(job);
    $("choose").textContent = state.first === null || state.first === job
      ? "compare" : "compare with the chosen one";
    $("choose").setAttribute("aria-pressed", state.first === job);
    const facts = axes.map((a) => [a.name, a.labels[a.column[job]]]);
    if (!failed(job)) {
      facts.push(["size", size(job).join(" × ") + " px"], ["seconds", DATA.seconds[job]]);
      for (const name of ["total", "content", "style"]) {
        facts.push([name === "total" ? "loss" : name + " loss", shown(DATA.losses[name][job])]);
      }
    }
    $("facts").replaceChildren(list(facts));
    const more = await detail(job);
    if (order[current] !== job || !more) return;
    if (more.record.animation) {
      $("facts").append(make("a", { href: encode(more.record.animation), target: "_blank",
        textContent: "animation" }));
    }
    if (more.curves) {
      const curves = make("div");
      curves.innerHTML = more.curves; // drawn by nst from numbers alone
      $("facts").append(curves);
    }
    const all = make("details", {}, make("summary", { textContent: "record" }),
      make("pre", { textContent: JSON.stringify(more.record, null, 1) }));
    $("facts").append(all);
  };
  const open = (job) => {
    current = Math.max(0, order.indexOf(job));
    if (!$("viewer").open) $("viewer").showModal();
    show();
  };
  const step = (by) => {
    current = (current + by + order.length) % order.length;
    show();
  };
  $("prev").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("star").onclick = () => toggle(order[current]);
  $("close").onclick = () => $("viewer").close();
  $("viewer").addEventListener("close", () => {
    const tile = $("grid").querySelector(`.tile[data-job='${order[current]}']`);
    if (tile) { tile.tabIndex = 0; tile.focus(); }
    if (state.only) draw();
  });
  $("viewer").addEventListener("keydown", (event) => {
    const act = { ArrowLeft: () => step(-1), ArrowRight: () => step(1),
      f: () => toggle(order[current]), c: () => choose(order[current]) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  // --- comparing ---
  const choose = (job) => {
    if (failed(job)) return;
    if (state.first === null || state.first === job) {
      state.first = state.first === job ? null : job;
      $("shown").textContent = state.first === null ? "" : `comparing ${DATA.names[job]} with ...`;
      if ($("viewer").open) show();
      return;
    }
    const two = [state.first, job];
    ["left", "right"].forEach((id, i) => {
      $(id).src = image(two[i]);
      $(id).alt = describe(two[i]);
      $(id).nextElementSibling.textContent = DATA.names[two[i]];
    });
    state.first = null;
    $("compare").showModal();
    $("cut").focus();
  };
  $("choose").onclick = () => choose(order[current]);
  $("cut").oninput = () => $("pair").style.setProperty("--x", $("cut").value + "%");
  $("way").onclick = () => {
    const slider = $("pair").classList.toggle("slider");
    $("way").textContent = slider ? "side by side" : "slider";
    $("cut").disabled = !slider;
  };
  $("done").onclick = () => $("compare").close();

  // --- start ---
  fillSelect($("rows"), state.rows);
  fillSelect($("cols"), state.cols);
  $("rows").onchange = () => { state.rows = +$("rows").value; if (state.rows === state.cols) { state.cols = -1; $("cols").value = -1; } draw(); };
  $("cols").onchange = () => { state.cols = +$("cols").value; if (state.rows === state.cols) { state.rows = -1; $("rows").value = -1; } draw(); };
  $("sort").onchange = () => { state.sort = $("sort").value; draw(); };
  $("only").onchange = () => { state.only = $("only").checked; draw(); };
  $("zoom").onchange = draw;
  $("common").append(...Object.entries(DATA.settings).map(([name, v]) => make("div", {},
    make("dt", { textContent: name }), make("dd", { textContent: shown(v) }))));
  $("theme").onclick = () => {
    const root = document.documentElement;
    const dark = root.classList.contains("dark") ||
      (!root.classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
    root.classList.toggle("dark", !dark);
    root.classList.toggle("light", dark);
  };
  draw();
  window.nst = { manifest, draw, state }; // for tests of the page
})();
