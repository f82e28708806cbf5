  // What all of the page's scripts share: the run's data, what is shown, small helpers.
  const $ = (id) => document.getElementById(id);
  const count = DATA.names.length;
  const axes = DATA.axes;
  const state = { rows: -1, cols: -1, filters: {}, sort: "plan", show: "all", query: "",
    size: null, first: null };
  let order = []; // jobs as shown, for the viewer's arrows
  let current = 0; // place in order

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
  const size = (job) => (Array.isArray(DATA.sizes[0]) ? DATA.sizes[job] : DATA.sizes);
  const shown = (value) =>
    value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
  const words = (name) => name.replace(/_+/g, " ").trim() || name;
  const named = (axis, v) =>
    axis.kind === "setting" ? `${words(axis.name)} ${axis.labels[v]}`
      : axis.kind === "place" ? `${axis.name} ${axis.labels[v]}` : words(axis.labels[v]);
  const several = axes.map((a, i) => i).filter((i) => axes[i].labels.length > 1);
  // A job in words: what is the same for all settings is left out.
  const describe = (job) => {
    const [content, style, ...rest] = axes;
    const settings = rest.filter((a) => a.kind === "setting" && a.labels.length > 1);
    return [`${named(content, content.column[job])} in the style of ` +
      named(style, style.column[job]), ...settings.map((a) => named(a, a.column[job]))].join(", ");
  };

  // --- clips: their frames are one tile, that of the first ---
  const frames = DATA.clips.map(() => []);
  DATA.clip.forEach((clip, job) => { if (clip >= 0) frames[clip].push(job); });
  const clipOf = (job) => (DATA.clips.length && DATA.clip[job] >= 0 ? DATA.clip[job] : -1);
  const isHead = (job) => clipOf(job) < 0 || frames[clipOf(job)][0] === job;
