  // The grid: cells are built as they come into sight.
  const SPAN = 24; // cells that are built at once
  const BLOCK = 20; // lines that are built at once
  const PRINTED = 3000; // pictures on paper at most
  const builders = new WeakMap();
  let watcher = null, grid = { lines: [], blocks: [] };
  const narrow = () => document.documentElement.clientWidth <= 640;
  const lazily = (element, build) => {
    builders.set(element, build);
    watcher.observe(element);
  };
  const built = (element) => {
    const build = builders.get(element);
    if (!build) return;
    builders.delete(element);
    watcher.unobserve(element);
    build();
  };

  // --- sizes: width over height of the tiles, and how wide they are ---
  const ratio = (() => {
    const sides = (Array.isArray(DATA.sizes[0]) ? DATA.sizes : [DATA.sizes])
      .filter((s) => s && s[0] > 0).map(([w, h]) => w / h);
    if (!sides.length) return 1;
    const least = sides.reduce((a, b) => Math.min(a, b)), most = sides.reduce((a, b) => Math.max(a, b));
    if (least < 1 && most > 1) return 1;
    return Math.min(2, Math.max(0.6, least >= 1 ? least : most));
  })();
  const LEAST_PX = 72;
  const room = () => {
    const page = document.documentElement.offsetWidth; // without room for a scrollbar to come
    const label = state.rows < 0 ? 0 : narrow() ? 84 : 140;
    return { page, label, free: page - (narrow() ? 24 : 48) - label };
  };
  // The slider's ends are the smallest tile and the full width.
  const sizeAt = (part) => {
    const most = Math.max(LEAST_PX + 1, room().free - 8);
    return Math.round(LEAST_PX * (most / LEAST_PX) ** (part / 100));
  };
  const partAt = (px) => {
    const most = Math.max(LEAST_PX + 1, room().free - 8);
    return Math.round(100 * Math.log(Math.min(px, most) / LEAST_PX) / Math.log(most / LEAST_PX));
  };
  const sideFor = (columns) => {
    const { free } = room();
    if (state.size !== null) return Math.max(LEAST_PX, Math.min(state.size, free - 8));
    const whole = Math.floor(free / Math.max(1, columns)) - 8;
    return Math.max(narrow() ? 80 : 112, Math.min(whole, 420, free - 8));
  };
  const abreast = () => Math.round(room().free / (narrow() ? 170 : 270));
  const fitting = (longest) => {
    const { free } = room();
    if (state.size !== null) return Math.max(1, Math.floor((free + 4) / (sideFor(1) + 8)));
    return Math.max(1, Math.min(longest, abreast()));
  };

  // --- one picture ---
  const picture = (job, px) => {
    const [w, h] = size(job), long = Math.max(w, h);
    const img = make("img", { alt: describe(job), loading: "lazy", decoding: "async" });
    if (!DATA.thumbs[job]) {
      img.src = image(job);
      return img;
    }
    const small = Math.max(1, Math.round(w * Math.min(1, 384 / long)));
    if (w > small) { // the browser takes the whole picture where a thumbnail is too small
      img.sizes = `${Math.round(Math.min(px, px / ratio * w / h))}px`;
      img.srcset = `${thumb(DATA.thumbs[job])} ${small}w, ${image(job)} ${w}w`;
    }
    img.src = thumb(DATA.thumbs[job]);
    return img;
  };
  const caption = (job) => {
    const parts = grid.told.map((i) => named(axes[i], axes[i].column[job]));
    const value = state.sort === "plan" || failed(job) ? null
      : state.sort === "seconds" ? `${DATA.seconds[job]} s`
        : `${state.sort} loss ${DATA.losses[state.sort][job] ?? "unknown"}`;
    return [...parts, ...(value ? [value] : [])].join(" · ");
  };
  const markButton = (kind, sign, label, act) => {
    const button = make("button", { type: "button", className: `mark ${kind}`, tabIndex: -1,
      textContent: sign, title: label });
    button.setAttribute("aria-label", label);
    button.onclick = act;
    return button;
  };
  // Of a tile's width and height, how much its picture leaves free on each side.
  const letterbox = (box, job) => {
    const [w, h] = size(job), shape = w / h / ratio;
    if (!(shape > 0)) return; // its size is not known
    box.style.setProperty("--aside", `calc(var(--t) * ${Math.max(0, 1 - shape) / 2})`);
    box.style.setProperty("--above", `calc(var(--h) * ${Math.max(0, 1 - 1 / shape) / 2})`);
  };
  const cell = (jobs, at, px) => {
    const box = make("div", { className: "cell" });
    if (!jobs || !jobs.length) return box;
    const job = jobs[0], clip = clipOf(job);
    const tile = make("button", { type: "button", className: "tile", tabIndex: -1 });
    tile.dataset.job = job;
    tile.dataset.at = at;
    tile.setAttribute("aria-label", (failed(job) ? "failed: " : "") + describe(job));
    if (failed(job)) {
      tile.classList.add("failed"); // the reason stands above the grid, and in the viewer
      tile.append("failed");
    } else {
      tile.append(picture(job, px));
    }
    tile.onclick = () => (state.first !== null ? choose(job) : open(job));
    box.append(tile);
    if (!failed(job)) {
      letterbox(box, job);
      box.append(make("div", { className: "marks" },
        markButton("star", "☆", "favorite", () => toggle(favorites, job)),
        markButton("second", "⇄", "compare", () => choose(job))));
    }
    const badge = clip >= 0 ? `▶ ${frames[clip].length}` : jobs.length > 1 ? `1 of ${jobs.length}` : "";
    if (badge) box.append(make("span", { className: "badge", textContent: badge }));
    const words = caption(job);
    if (words) box.append(make("small", { textContent: words, title: words }));
    dress(box, job);
    return box;
  };
  // A cell's marks as they are now.
  const dress = (box, job) => {
    const name = DATA.names[job];
    box.classList.toggle("rejected", rejected.has(name));
    box.classList.toggle("chosen", state.first === job);
    const star = box.querySelector(".star");
    if (!star) return; // of a failed one there is none
    star.setAttribute("aria-pressed", favorites.has(name));
    star.textContent = favorites.has(name) ? "★" : "☆";
    box.querySelector(".second").setAttribute("aria-pressed", state.first === job);
  };
  const dressAll = () => {
    for (const tile of $("grid").querySelectorAll(".tile")) {
      dress(tile.parentElement, +tile.dataset.job);
    }
  };
  const header = (axis, v, className) => {
    const label = make("div", { className, title: named(axis, v) });
    const name = axis.thumbs[v];
    if (name) label.append(make("img", { src: thumb(name), alt: "", loading: "lazy" }));
    label.append(axis.kind === "setting" ? axis.labels[v] : words(axis.labels[v]));
    return label;
  };

  // --- drawing ---
  const heading = (across, label) => {
    const head = make("div", { className: "head" });
    const rows = axes[state.rows], cols = axes[state.cols];
    if (label) {
      const title = [rows, cols].map((a) => words(a.name)).join(" ↓ ") + " →";
      head.append(make("div", { className: "label corner", textContent: title }));
    }
    for (let i = 0; i < across.length; i += SPAN) {
      const some = across.slice(i, i + SPAN);
      const part = make("div", { className: "part" });
      part.style.width = `calc((var(--t) + 8px) * ${some.length})`;
      lazily(part, () => part.append(...some.map((c) => header(cols, c, "col"))));
      head.append(part);
    }
    return head;
  };
  const lineOf = (line, l, px) => {
    const element = make("div", { className: "row" });
    const rows = axes[state.rows];
    if (rows) {
      element.append(line.first ? header(rows, line.value, "label")
        : make("div", { className: "label" }));
    }
    for (let i = 0; i < line.cells.length; i += SPAN) {
      const few = line.cells.slice(i, i + SPAN);
      const part = make("div", { className: "part" });
      part.style.width = `calc((var(--t) + 8px) * ${few.length})`;
      lazily(part, () => {
        part.append(...few.map((jobs, k) => cell(jobs, `${l},${i + k}`, px)));
        if (!$("grid").querySelector(".tile[tabindex='0']")) {
          const first = $("grid").querySelector(".tile");
          if (first) first.tabIndex = 0;
        }
      });
      element.append(part);
    }
    return element;
  };
  // Room for the longest caption, up to three lines of it; some speak for all.
  const captionHeight = (lines, side) => {
    const jobs = lines.slice(0, 100).flatMap((line) => line.cells.flatMap((some) => some || []));
    const longest = Math.max(0, ...jobs.slice(0, 500).map((job) => caption(job).length));
    return longest ? 6 + 16 * Math.min(3, Math.ceil(longest * 6.6 / side)) : 0;
  };
  const measure = (lines, across, fit) => {
    const { page, label } = room();
    const columns = across ? across.length : Math.max(fit, Math.min(4, abreast()));
    const side = sideFor(columns);
    const set = (name, value) => document.documentElement.style.setProperty(name, value);
    set("--wide", `${page}px`);
    set("--label", `${label}px`);
    set("--print-label", label ? "26mm" : "");
    set("--t", `${side}px`);
    set("--h", `${Math.round(side / ratio)}px`);
    set("--ratio", ratio);
    set("--across", Math.max(1, ...lines.map((line) => line.cells.length)));
    set("--caption", `${captionHeight(lines, side)}px`);
    $("grid").classList.toggle("narrow", side < 100);
    $("zoom").value = partAt(side);
    return side;
  };
  const draw = () => {
    const anchor = topJob();
    fillFilters(takeFilters());
    const jobs = chosenJobs();
    const { lines, across, fit } = linesOf(jobs, fitting);
    const told = differing(jobs, across);
    grid = { lines, across, told, blocks: [] };
    const px = measure(lines, across, fit);
    if (watcher) watcher.disconnect();
    watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) built(entry.target);
    }, { rootMargin: "600px" });
    order = lines.flatMap((line) => line.cells.flatMap((some) => some || []));
    const parts = across ? [heading(across, state.rows >= 0)] : [];
    for (let b = 0; b < lines.length; b += BLOCK) {
      const some = lines.slice(b, b + BLOCK);
      const block = make("div", { className: "block" });
      block.style.height = `calc((var(--h) + var(--caption) + 8px) * ${some.length})`;
      block.style.minWidth = `calc((var(--t) + 8px) * ${some[0].cells.length} + var(--label))`;
      lazily(block, () => block.append(...some.map((line, i) => lineOf(line, b + i, px))));
      grid.blocks.push(block);
      parts.push(block);
    }
    $("grid").replaceChildren(...parts);
    fillShow();
    say(jobs);
    $("paper").textContent = told.length ? "" : heldFast();
    keep(anchor);
    remember();
  };
  // The one value of each axis that is neither rows nor columns.
  const heldFast = () => Object.entries(filters)
    .filter(([, v]) => v >= 0).map(([i, v]) => named(axes[i], v)).join(", ");
  const say = (jobs) => {
    const all = DATA.names.length - frames.reduce((sum, f) => sum + f.length - 1, 0);
    const packed = !grid.across && state.rows >= 0 && state.cols >= 0
      ? `; side by side, each with its ${words(axes[state.cols].name)}`
      : "";
    const held = heldFast() && `: ${heldFast()}`;
    $("shown").textContent = count ? `${jobs.length} of ${jobsText(all)} shown${held}${packed}`
      : "no pictures yet";
  };
  // What stands at the top of the window stays there when the grid is drawn anew.
  const topJob = () => {
    if (window.scrollY < 40) return null;
    for (const tile of $("grid").querySelectorAll(".tile")) {
      const box = tile.getBoundingClientRect();
      if (box.bottom > 90 && box.left >= 0) return { job: +tile.dataset.job, top: box.top };
    }
    return null;
  };
  const keep = (anchor) => {
    if (!anchor) return;
    const l = grid.lines.findIndex((line) => line.cells.some((some) => some?.includes(anchor.job)));
    if (l < 0) return;
    const row = rowAt(l);
    window.scrollBy(0, row.getBoundingClientRect().top - anchor.top);
  };
  const rowAt = (l) => {
    const block = grid.blocks[Math.floor(l / BLOCK)];
    built(block);
    return block.children[l % BLOCK];
  };
  const tileAt = (l, c) => {
    const parts = rowAt(l).querySelectorAll(".part");
    built(parts[Math.floor(c / SPAN)]);
    return $("grid").querySelector(`.tile[data-at="${l},${c}"]`);
  };

  // --- keys in the grid ---
  const has = (l, c) => Boolean(grid.lines[l]?.cells[c]?.length);
  const moved = (l, c, key, far) => {
    const cells = (k) => grid.lines[k].cells.map((_, i) => i).filter((i) => has(k, i));
    const last = grid.lines.length - 1;
    const ends = { Home: far ? 0 : l, End: far ? last : l };
    if (key in ends) {
      const there = cells(ends[key]);
      return [ends[key], key === "Home" ? there[0] : there.at(-1)];
    }
    const [dl, dc] = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0],
      ArrowDown: [1, 0] }[key];
    do { l += dl; c += dc; } while (l >= 0 && l <= last && c >= 0 &&
      c < grid.lines[l].cells.length && !has(l, c));
    return [l, c];
  };
  $("grid").addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || event.altKey || event.metaKey) return;
    const job = +tile.dataset.job;
    const act = { f: () => toggle(favorites, job), x: () => toggle(rejected, job),
      c: () => choose(job) }[event.key];
    if (act && !event.ctrlKey) { act(); return; }
    if (!/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key)) return;
    event.preventDefault();
    const [l, c] = tile.dataset.at.split(",").map(Number);
    const [toL, toC] = moved(l, c, event.key, event.ctrlKey);
    if (has(toL, toC)) focusOn(tileAt(toL, toC));
  });
  const focusOn = (tile) => {
    for (const other of $("grid").querySelectorAll(".tile[tabindex='0']")) other.tabIndex = -1;
    tile.tabIndex = 0;
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  // --- paper: all of it is built, without what is for a screen ---
  const forPaper = () => {
    let left = PRINTED;
    grid.lines.forEach((line, l) => {
      left -= line.cells.length;
      const row = rowAt(l);
      const empty = line.cells.every((some) => !some || failed(some[0]));
      row.classList.toggle("unprinted", left < 0 || empty);
      if (left >= 0) row.querySelectorAll(".part").forEach(built);
    });
    for (const part of document.querySelectorAll(".head .part")) built(part);
    for (const img of document.querySelectorAll("#grid img")) img.loading = "eager";
  };
  window.addEventListener("beforeprint", forPaper);
