  // The controls, a run that goes on, and the first drawing.
  const fillSelect = (select, chosen) => {
    select.replaceChildren(make("option", { value: -1, textContent: "none" }),
      ...several.map((i) => make("option", { value: i, textContent: words(axes[i].name) })));
    select.value = chosen;
  };
  const LISTED = 500; // values of an axis that a list is still good for; of more there is the search
  const fillFilters = (free) => {
    const short = free.filter((i) => axes[i].labels.length <= LISTED || filters[i] >= 0);
    $("filters").replaceChildren(...short.map((i) => {
      const select = make("select", { id: "filter-" + axes[i].name });
      select.append(make("option", { value: -1, textContent: "all" }), ...axes[i].labels.map(
        (label, v) => make("option", { value: v, textContent: axes[i].kind === "setting" ? label
          : words(label) })));
      select.value = filters[i];
      select.onchange = () => { state.filters[i] = +select.value; draw(); };
      return make("label", {}, words(axes[i].name) + " ", select);
    }));
  };
  const fillShow = () => {
    const failures = DATA.error.filter((e) => e >= 0).length;
    const counts = { all: null, done: failures ? count - failures : 0, failed: failures,
      favorites: favorites.size, rejected: rejected.size,
      "not rejected": rejected.size ? count - rejected.size : 0 };
    $("show").replaceChildren(...Object.entries(counts)
      .filter(([name, n]) => n === null || n > 0 || name === state.show)
      .map(([name, n]) => make("option", { value: name,
        textContent: n === null ? name : `${name} (${n})` })));
    $("show").value = state.show;
  };
  const turn = (mine, other) => () => {
    state[mine] = +$(mine).value;
    if (state.rows === state.cols) { state[other] = -1; $(other).value = -1; }
    state.filters = {};
    draw();
  };
  $("rows").onchange = turn("rows", "cols");
  $("cols").onchange = turn("cols", "rows");
  $("sort").onchange = () => { state.sort = $("sort").value; draw(); };
  $("show").onchange = () => { state.show = $("show").value; draw(); };
  let typing = 0;
  $("search").oninput = () => {
    clearTimeout(typing);
    typing = setTimeout(() => { state.query = $("search").value.trim(); draw(); }, 150);
  };
  $("zoom").oninput = () => { state.size = sizeAt(+$("zoom").value); draw(); };
  $("fit").onclick = () => { state.size = null; draw(); };
  let width = 0;
  window.addEventListener("resize", () => {
    if (document.documentElement.clientWidth !== width) draw();
    width = document.documentElement.clientWidth;
  });
  $("common").append(...Object.entries(DATA.settings).map(([name, v]) => make("div", {},
    make("dt", { textContent: name }), make("dd", { textContent: shown(v) }))));
  $("theme").onclick = () => {
    const root = document.documentElement;
    const dark = root.classList.contains("dark") ||
      (!root.classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
    root.classList.toggle("dark", !dark);
    root.classList.toggle("light", dark);
  };

  // --- a run that goes on: nst makes the page anew, and says so in report/live.js ---
  const EVERY_S = 5, QUIET_S = 3;
  let touched = 0, news = null;
  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) {
    window.addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
  }
  const busy = () => $("viewer").open || $("compare").open || state.first !== null ||
    ["INPUT", "SELECT"].includes(document.activeElement.tagName) ||
    performance.now() - touched < QUIET_S * 1000;
  window.nstLive = (said) => {
    news = said;
    const late = (Date.now() - Date.parse(said.time)) / 60000 > 15;
    $("live").textContent = said.stamp !== DATA.stamp ? "new pictures: shown in a moment"
      : !said.live ? "" : late
        ? `nothing new since ${new Date(said.time).toLocaleTimeString()}; perhaps the run has ended`
        : "the run goes on: new pictures appear here";
    if (said.stamp !== DATA.stamp && !busy()) location.reload();
  };
  const ask = () => {
    const script = make("script", { src: `report/live.js?${Date.now()}` });
    script.onload = script.onerror = () => script.remove();
    document.head.append(script);
  };
  if (DATA.live) {
    ask();
    setInterval(() => (news && news.stamp !== DATA.stamp ? window.nstLive(news) : ask()),
      EVERY_S * 1000);
  }

  // --- start ---
  width = document.documentElement.clientWidth;
  $("view").open = !narrow();
  [START.rows, START.cols] = defaultAxes();
  $("px").value = count && DATA.settings.size !== "original"
    ? 2 * Math.max(16, ...DATA.names.map((_, job) => longSide(sizeOf(job)) || 0).slice(0, 1000)) : 1024;
  const first = recall();
  showMarks();
  draw();
  if (first >= 0 && order.includes(first)) open(first);
  window.nst = { manifest, names: (what) => names(what === "rejected" ? rejected : favorites, what),
    draw, state, jobs: () => order }; // for tests of the page
