  // The view in the page's address: a link, or a page that is loaded anew, shows the same.
  const START = {};
  const viewed = () => {
    const found = new URLSearchParams();
    const name = (i) => (i < 0 ? "none" : axes[i].name);
    if (state.rows !== START.rows || state.cols !== START.cols) {
      found.set("rows", name(state.rows));
      found.set("columns", name(state.cols));
    }
    for (const [i, v] of Object.entries(state.filters)) {
      found.set("only " + axes[i].name, v < 0 ? "" : axes[i].labels[v]);
    }
    if (state.show !== "all") found.set("show", state.show);
    if (state.sort !== "plan") found.set("sort", state.sort);
    if (state.query) found.set("search", state.query);
    if (state.size !== null) found.set("size", state.size);
    if ($("viewer").open) found.set("picture", DATA.names[order[current]]);
    return "#" + found;
  };
  const remember = () => {
    if (viewed() === location.hash) return;
    try { history.replaceState(history.state, "", viewed()); } catch { /* where none may be kept */ }
  };
  const enter = () => {
    try { history.pushState({ viewer: true }, "", viewed()); } catch { /* as above */ }
  };
  const leave = () => {
    if (history.state?.viewer) history.back(); else remember();
  };
  // Takes the view of the address; what is not of this run is passed over.
  const recall = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    const axis = (name) => (name === "none" ? -1 : several.find((i) => axes[i].name === name));
    state.rows = axis(given.get("rows")) ?? START.rows;
    state.cols = axis(given.get("columns")) ?? START.cols;
    if (state.rows === state.cols) state.cols = -1;
    state.filters = {};
    for (const i of several) {
      if (!given.has("only " + axes[i].name)) continue;
      state.filters[i] = axes[i].labels.indexOf(given.get("only " + axes[i].name));
    }
    state.show = given.get("show") in MATCHES ? given.get("show") : "all";
    state.sort = [...$("sort").options].some((o) => o.value === given.get("sort"))
      ? given.get("sort") : "plan";
    state.query = given.get("search") || "";
    state.size = +given.get("size") >= LEAST_PX ? +given.get("size") : null;
    fillSelect($("rows"), state.rows);
    fillSelect($("cols"), state.cols);
    $("sort").value = state.sort;
    $("search").value = state.query;
    return DATA.names.indexOf(given.get("picture"));
  };
  window.addEventListener("popstate", () => {
    const picture = new URLSearchParams(location.hash.slice(1)).get("picture");
    if ($("viewer").open && picture === null) $("viewer").close();
  });
  window.addEventListener("hashchange", () => {
    if ($("viewer").open || viewed() === location.hash) return;
    const job = recall();
    draw();
    if (job >= 0) open(job);
  });
