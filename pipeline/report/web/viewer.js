  // One picture large, beside what it was made of and how; and two compared.
  const details = new Map();
  const waiting = new Map();
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
  const showButtons = (job) => {
    if (order[current] !== job) return;
    const liked = favorites.has(DATA.names[job]);
    $("star").setAttribute("aria-pressed", liked);
    $("sign").textContent = liked ? "★" : "☆";
    $("reject").setAttribute("aria-pressed", rejected.has(DATA.names[job]));
    $("choose").hidden = failed(job);
    $("choose").textContent = state.first === null || state.first === job
      ? "compare" : "compare with chosen";
    $("choose").setAttribute("aria-pressed", state.first === job);
  };
  const source = (axis, job, compares) => {
    const v = axis.column[job], name = axis.thumbs[v];
    const label = make("figcaption", { textContent: `${axis.name}: ${named(axis, v)}` });
    if (!name) return make("figure", {}, label);
    const img = make("img", { src: thumb(name), alt: `${axis.name} ${named(axis, v)}` });
    if (!compares || failed(job)) return make("figure", {}, img, label);
    const button = make("button", { type: "button", title: "compare with the content" }, img);
    button.setAttribute("aria-label", `compare with the content ${named(axis, v)}`);
    const content = { src: thumb(name), text: `content ${named(axis, v)}` };
    button.onclick = () => compare(content, shownAs(job));
    return make("figure", {}, button, label);
  };
  const factsOf = (job) => {
    const facts = axes.slice(2).map((a) => [words(a.name), a.labels[a.column[job]]]);
    if (!failed(job)) {
      facts.push(["size", size(job).join(" × ") + " px"], ["made in", `${DATA.seconds[job]} s`]);
      for (const name of ["total", "content", "style"]) {
        facts.push([name === "total" ? "loss" : name + " loss", shown(DATA.losses[name][job])]);
      }
    }
    facts.push(["file", DATA.names[job] + (failed(job) ? "" : DATA.suffixes[job])]);
    return facts;
  };
  const showPicture = (job) => {
    const clip = clipOf(job), video = clip >= 0 ? DATA.clips[clip].video : "";
    $("full").hidden = failed(job) || Boolean(video);
    $("film").hidden = !video;
    $("actual").hidden = failed(job) || Boolean(video);
    $("full").alt = describe(job);
    if ($("full").hidden) $("full").removeAttribute("src"); else $("full").src = image(job);
    if (video) $("film").src = encode(video); else $("film").removeAttribute("src");
    $("film").setAttribute("aria-label", describe(job));
    $("why").textContent = failed(job) ? "failed: " + DATA.errors[DATA.error[job]] : "";
  };
  const show = async () => {
    const job = order[current], clip = clipOf(job);
    const title = describe(job);
    $("name").textContent = title[0].toUpperCase() + title.slice(1);
    showPicture(job);
    showButtons(job);
    $("sources").replaceChildren(source(axes[0], job, true), source(axes[1], job, false));
    const facts = factsOf(job);
    if (clip >= 0) facts.unshift(["frames", `${frames[clip].length} of ${DATA.clips[clip].frames}`]);
    $("facts").replaceChildren(list(facts));
    remember();
    const more = await detail(job);
    if (order[current] !== job || !more) return;
    for (const notice of more.record.warnings || []) {
      $("facts").append(make("p", { textContent: "note: " + notice.text }));
    }
    if (more.record.animation) {
      $("facts").append(make("a", { href: encode(more.record.animation), target: "_blank",
        textContent: "animation" }));
    }
    if (more.curves) {
      const curves = make("div");
      curves.innerHTML = more.curves; // drawn by nst from numbers alone
      $("facts").append(curves);
    }
    $("facts").append(make("details", {}, make("summary", { textContent: "record" }),
      make("pre", { textContent: JSON.stringify(more.record, null, 1) })));
  };
  const open = (job) => {
    current = Math.max(0, order.indexOf(job));
    if (!$("viewer").open) {
      $("viewer").showModal();
      enter(); // the browser's way back closes the viewer
    }
    show();
  };
  const step = (by) => {
    current = (current + by + order.length) % order.length;
    show();
  };
  const actual = () => {
    const on = $("stage").classList.toggle("actual");
    $("actual").setAttribute("aria-pressed", on);
  };
  $("prev").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("star").onclick = () => toggle(favorites, order[current]);
  $("reject").onclick = () => toggle(rejected, order[current]);
  $("choose").onclick = () => choose(order[current]);
  $("actual").onclick = actual;
  $("close").onclick = () => $("viewer").close();
  $("viewer").addEventListener("close", () => {
    $("film").pause();
    leave();
    const job = order[current];
    if (!["all", "done", "failed"].includes(state.show)) draw();
    const l = grid.lines.findIndex((line) => line.cells.some((some) => some?.includes(job)));
    if (l < 0) return;
    const tile = tileAt(l, grid.lines[l].cells.findIndex((some) => some?.includes(job)));
    if (tile) focusOn(tile);
  });
  $("viewer").addEventListener("keydown", (event) => {
    if (event.target.closest("video") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { ArrowLeft: () => step(-1), ArrowRight: () => step(1),
      Home: () => step(-current), End: () => step(order.length - 1 - current),
      f: () => toggle(favorites, order[current]), x: () => toggle(rejected, order[current]),
      c: () => choose(order[current]) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  // A finger's way to the side is the next picture.
  let finger = null;
  $("stage").addEventListener("touchstart", (event) => {
    finger = event.touches.length === 1 ? event.touches[0] : null;
  }, { passive: true });
  $("stage").addEventListener("touchend", (event) => {
    if (!finger || (window.visualViewport && window.visualViewport.scale > 1.05)) return;
    const dx = event.changedTouches[0].clientX - finger.clientX;
    const dy = event.changedTouches[0].clientY - finger.clientY;
    if (Math.abs(dx) > 50 && Math.abs(dx) > 2 * Math.abs(dy)) step(dx < 0 ? 1 : -1);
  }, { passive: true });

  // --- comparing ---
  const shownAs = (job) => ({ src: image(job), text: describe(job) });
  const choose = (job) => {
    if (failed(job)) return;
    if (state.first === null || state.first === job) {
      state.first = state.first === job ? null : job;
    } else {
      const first = state.first;
      state.first = null;
      compare(shownAs(first), shownAs(job));
    }
    dressAll();
    showMarks();
    if ($("viewer").open) showButtons(order[current]);
  };
  const compare = (...two) => {
    ["left", "right"].forEach((id, i) => {
      $(id).src = two[i].src;
      $(id).alt = two[i].text;
      $(id).nextElementSibling.textContent = two[i].text;
    });
    $("compare").showModal();
    $("cut").focus();
  };
  const cutAt = (part) => {
    $("cut").value = part;
    $("pair").style.setProperty("--x", part + "%");
  };
  $("cut").oninput = () => cutAt($("cut").value);
  for (const kind of ["pointerdown", "pointermove"]) {
    $("pair").addEventListener(kind, (event) => {
      if (!$("pair").classList.contains("slider") || !event.buttons) return;
      const box = $("left").getBoundingClientRect();
      cutAt(Math.max(0, Math.min(100, 100 * (event.clientX - box.left) / box.width)));
    });
  }
  $("way").onclick = () => {
    const slider = $("pair").classList.toggle("slider");
    $("way").textContent = slider ? "side by side" : "slider";
    $("cut").disabled = !slider;
  };
  $("done").onclick = () => $("compare").close();
  $("stop").onclick = () => choose(state.first);
