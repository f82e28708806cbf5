  // Favorites and rejected pictures, and what is exported of them.
  const stored = (key) => {
    try {
      return new Set(JSON.parse(localStorage.getItem(key) || "[]"));
    } catch { // a page from disk may have no storage; marks then last as long as the page
      return new Set();
    }
  };
  const KEYS = { favorites: "nst favourites " + DATA.run, rejected: "nst rejected " + DATA.run };
  const favorites = stored(KEYS.favorites), rejected = stored(KEYS.rejected);
  const store = (key, names) => {
    try { localStorage.setItem(key, JSON.stringify([...names])); } catch { /* as above */ }
  };
  // A picture is a favorite, rejected, or neither.
  const toggle = (names, job) => {
    const name = DATA.names[job], other = names === favorites ? rejected : favorites;
    if (!names.delete(name)) {
      names.add(name);
      other.delete(name);
    }
    store(KEYS.favorites, favorites);
    store(KEYS.rejected, rejected);
    dressAll();
    showMarks();
    if ($("viewer").open) showButtons(job);
    const filtered = !["all", "done", "failed"].includes(state.show);
    if (filtered && !$("viewer").open) draw(); else fillShow();
  };
  const showMarks = (said = "") => {
    $("count").textContent = favorites.size;
    $("uncount").textContent = rejected.size;
    $("liked").hidden = !favorites.size;
    $("disliked").hidden = !rejected.size;
    for (const part of document.querySelectorAll(".of-liked")) part.hidden = !favorites.size;
    for (const part of document.querySelectorAll(".of-disliked")) part.hidden = !rejected.size;
    $("stop").hidden = state.first === null;
    if (state.first !== null) said = `comparing ${describe(state.first)}: now choose another picture`;
    $("said").textContent = said;
    $("marked").hidden = !favorites.size && !rejected.size && state.first === null;
  };

  // --- the manifest of favorites ---
  const yaml = (value) => JSON.stringify(value); // JSON is YAML
  const longSide = (value) => Math.max(...String(value).split("x").map(Number));
  const sizeOf = (job) => {
    const axis = axes.find((a) => a.kind === "setting" && a.name === "size");
    return axis ? axis.values[axis.column[job]] ?? DATA.settings.size : DATA.settings.size;
  };
  // A size with `px` as its longer side; an original's is its own.
  const resized = (value, px) => {
    if (value === undefined || value === "original" || !px) return value;
    if (typeof value !== "string") return px;
    const factor = px / longSide(value);
    return value.split("x").map((side) => Math.max(16, Math.round(side * factor))).join("x");
  };
  // Larger pictures keep their look: nst says what changes in a job's settings for that.
  const grown = (job, px) => {
    const before = sizeOf(job);
    if (before === undefined || before === "original" || !(px > longSide(before))) return {};
    const { size_step: step, ...more } = DATA.grown[DATA.grow.length ? DATA.grow[job] : 0];
    const larger = (step * px) / longSide(before); // the shape stays
    return Number.isInteger(larger) && larger <= 256 ? { ...more, size_step: larger } : more;
  };
  const pairOf = (job, px) => {
    const own = {};
    for (const axis of axes.filter((a) => a.kind === "setting")) {
      const v = axis.values[axis.column[job]];
      if (v !== null) own[axis.name] = axis.name === "size" ? resized(v, px) : v;
    }
    const style = structuredClone(axes[1].values[axes[1].column[job]]);
    const paths = Object.keys(style.parts);
    if ("blend" in own) for (const path of paths) style.parts[path] = 1; // own.blend decides
    const shownStyle = Object.keys(style.regions).length
      ? { name: style.name, regions: style.regions }
      : paths.length === 1 ? paths[0] : { name: style.name, blend: style.parts };
    const content = axes[0].values[axes[0].column[job]];
    const lines = [`  - content: ${yaml(content)}`];
    if (DATA.masks[content]) lines.push(`    mask: ${yaml(DATA.masks[content])}`);
    if (DATA.keeps[content]) lines.push(`    keep: ${yaml(DATA.keeps[content])}`);
    lines.push(`    style: ${yaml(shownStyle)}`,
      `    settings: ${yaml({ ...own, ...grown(job, px) })}`);
    return lines;
  };
  const marked = (names) => DATA.names.map((_, job) => job).filter((job) => names.has(DATA.names[job]));
  const manifest = (px) => {
    const settings = { ...DATA.settings };
    if ("size" in settings) settings.size = resized(settings.size, px);
    return [`output: ${yaml(DATA.run + "-favorites")}`, `backbone: ${yaml(DATA.backbone)}`,
      "settings:", ...Object.entries(settings).map(([k, v]) => `  ${k}: ${yaml(v)}`),
      "pairs:", ...marked(favorites).flatMap((job) => pairOf(job, px))].join("\n") + "\n";
  };
  const names = (chosen, what) => [`# ${what} of ${DATA.run}`,
    ...marked(chosen).map((job) => DATA.names[job])].join("\n") + "\n";
  const save = (text, file, type) => {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const jobsText = (n) => `${n} ${n === 1 ? "picture" : "pictures"}`;
  $("export").onclick = () => {
    const px = +$("px").value, jobs = marked(favorites);
    if (!$("px").reportValidity()) return;
    const kept = jobs.filter((job) => ["original", undefined].includes(sizeOf(job))).length;
    save(manifest(px), "favorites.yaml", "application/yaml");
    showMarks(`favorites.yaml: ${jobsText(jobs.length)} at ${px} px` +
      (kept ? ` (${kept} at the original size)` : "") +
      ` into ${DATA.title}-favorites; make them with: nst batch favorites.yaml`);
  };
  $("list").onclick = () => {
    save(names(favorites, "favorites"), "favorites.txt", "text/plain");
    showMarks(`favorites.txt: the names of ${jobsText(favorites.size)}, for nst sheet --favorites`);
  };
  $("unlist").onclick = () => {
    save(names(rejected, "rejected"), "rejected.txt", "text/plain");
    showMarks(`rejected.txt: the names of ${jobsText(rejected.size)}, for "exclude: rejected.txt" ` +
      "in the manifest");
  };
