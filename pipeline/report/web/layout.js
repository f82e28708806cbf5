  // Which jobs are shown, and in which lines.
  const MATCHES = {
    all: () => true,
    done: (job) => !failed(job),
    failed,
    favorites: (job) => favorites.has(DATA.names[job]),
    rejected: (job) => rejected.has(DATA.names[job]),
    "not rejected": (job) => !rejected.has(DATA.names[job]),
  };
  const texts = [];
  const text = (job) => (texts[job] ??=
    `${DATA.names[job]} ${axes.map((a) => named(a, a.column[job])).join(" ")}`.toLowerCase());
  const sorted = (job) => (state.sort === "seconds" ? DATA.seconds[job]
    : DATA.losses[state.sort][job] ?? Infinity);
  const chosenJobs = () => {
    const wanted = Object.entries(filters).filter(([, v]) => v >= 0);
    const sought = state.query.toLowerCase().split(/\s+/).filter(Boolean);
    const jobs = [];
    for (let job = 0; job < count; job++) {
      if (isHead(job) && MATCHES[state.show](job) &&
          wanted.every(([i, v]) => axes[i].column[job] === v) &&
          sought.every((word) => text(job).includes(word))) jobs.push(job);
    }
    const turn = state.sort === "plan" ? (a, b) => a - b
      : (a, b) => (sorted(a) < sorted(b) ? -1 : sorted(a) > sorted(b) ? 1 : a - b);
    return jobs.sort((a, b) => failed(a) - failed(b) || turn(a, b)); // what is made comes first
  };

  // How much of a grid of two axes has pictures: little of a data set with a style drawn for each.
  const filled = (jobs, rows, cols) => {
    const places = new Set(), down = new Set(), across = new Set();
    for (const job of jobs) {
      const r = rows.column[job], c = cols.column[job];
      places.add(r * cols.labels.length + c);
      down.add(r);
      across.add(c);
    }
    return places.size / Math.max(1, down.size * across.size);
  };
  const crowded = (jobs, rows, cols) => {
    const places = jobs.map((job) => rows.column[job] * cols.labels.length + cols.column[job]);
    return new Set(places).size < jobs.length;
  };
  const LEAST = 0.4; // of a grid's places; with fewer, pictures stand side by side
  const defaultAxes = () => {
    const real = several.filter((i) => axes[i].kind !== "place");
    if (real.length < 2) return [real.length ? real[0] : -1, -1];
    let [rows, cols] = real;
    const heads = DATA.names.map((_, job) => job).filter(isHead);
    if (filled(heads, axes[rows], axes[cols]) < LEAST) {
      const place = several.find((i) => axes[i].kind === "place");
      return [place ?? -1, -1];
    }
    const many = axes[cols].labels.length;
    if (many > 12 && axes[rows].labels.length < many) [rows, cols] = [cols, rows];
    return [rows, cols];
  };
  // Values in order of their axis, but those of which all has failed come last.
  const madeFirst = (values, axis, jobs) => {
    const made = new Set(jobs.filter((job) => !failed(job)).map((job) => axis.column[job]));
    return values.sort((a, b) => made.has(b) - made.has(a) || a - b);
  };
  // Whoever looks for some pictures wants all of these.
  const seeks = () => state.query !== "" || !["all", "done", "not rejected"].includes(state.show);
  // Axes that are neither rows nor columns show what was chosen; else all their values where a place
  // still holds one picture, and the first where not.
  let filters = {};
  const takeFilters = () => {
    const free = several.filter((i) => i !== state.rows && i !== state.cols);
    filters = Object.fromEntries(free.map((i) => [i, state.filters[i] ?? -1]));
    if (state.rows < 0 || state.cols < 0 || seeks()) return free;
    const every = [...DATA.names.keys()];
    for (const i of free.filter((j) => !(j in state.filters))) {
      const places = new Map();
      let twice = false;
      for (let job = 0; job < count && !twice; job++) {
        if (!isHead(job)) continue;
        const others = free.filter((j) => j !== i);
        if (others.some((j) => filters[j] >= 0 && axes[j].column[job] !== filters[j])) continue;
        const place = axes[state.rows].column[job] * axes[state.cols].labels.length +
          axes[state.cols].column[job];
        const v = axes[i].column[job];
        twice = (places.get(place) ?? v) !== v;
        places.set(place, v);
      }
      filters[i] = twice ? madeFirst([...axes[i].labels.keys()], axes[i], every)[0] : -1;
    }
    return free;
  };

  // The lines of the grid: {value: of the rows' axis or -1, first: whether it begins one, cells};
  // `across` has the columns' values, or null where pictures stand side by side, `fit` in a line.
  const linesOf = (jobs, fitting) => {
    const rows = axes[state.rows];
    let cols = axes[state.cols];
    if (rows && cols && (filled(jobs, rows, cols) < LEAST || (seeks() && crowded(jobs, rows, cols)))) {
      cols = undefined;
    }
    const groups = new Map(), used = new Set();
    for (const job of jobs) {
      const r = rows ? rows.column[job] : -1;
      if (!groups.has(r)) groups.set(r, []);
      groups.get(r).push(job);
      if (cols) used.add(cols.column[job]);
    }
    const down = [...groups.keys()];
    if (rows && state.sort === "plan") madeFirst(down, rows, jobs);
    const lines = [];
    if (cols) {
      const across = madeFirst([...used], cols, jobs);
      for (const r of down) {
        const cells = new Map();
        for (const job of groups.get(r)) {
          const c = cols.column[job];
          if (!cells.has(c)) cells.set(c, []);
          cells.get(c).push(job);
        }
        lines.push({ value: r, first: true, cells: across.map((c) => cells.get(c) || null) });
      }
      return { lines, across };
    }
    const longest = Math.max(1, ...down.map((r) => groups.get(r).length));
    const fit = fitting(longest);
    for (const r of down) {
      const some = groups.get(r);
      for (let i = 0; i < some.length; i += fit) {
        const cells = some.slice(i, i + fit).map((job) => [job]);
        lines.push({ value: r, first: i === 0, cells });
      }
    }
    return { lines, across: null, fit };
  };
  // What tells a picture from the others where no column does: the values that differ.
  const differing = (jobs, across) => {
    const told = new Set([state.rows, ...(across ? [state.cols] : [])]);
    return several.filter((i) => !told.has(i) && axes[i].kind !== "place" &&
      jobs.some((job) => axes[i].column[job] !== axes[i].column[jobs[0]]));
  };
