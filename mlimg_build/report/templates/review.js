"use strict";
(() => {
  const data = JSON.parse(document.getElementById("review-data").textContent);
  const at = Object.fromEntries(data.columns.map((name, i) => [name, i]));
  const cards = [...document.querySelectorAll(".choice")];
  const reviewer = document.getElementById("reviewer");
  const stored = "mlimg review " + data.key;

  const chosen = (card) => card.querySelector("input[type=radio]:checked");
  const text = (card) => card.querySelector(".text");
  // the ids of WordNet, as differences: two digits to the base 64, or ~ and five
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const number = (from, count) => {
    let value = 0;
    for (let i = from; i < from + count; i++) value = value * 64 + digits.indexOf(data.ids[i]);
    return value;
  };
  const known = new Set();
  for (let i = 0, last = 0; i < data.ids.length;) {
    const long = data.ids[i] === "~";
    last += long ? number(i + 1, 5) : number(i, 2);
    i += long ? 6 : 2;
    known.add(last);
  }
  const own = new Set(data.own);

  // what is wrong with a typed id or noun, and what is only known when mlimg reads it
  const wrong = (typed) => {
    const id = typed.toLowerCase();
    if (/^own:/.test(id)) {
      if (own.has(id)) return "";
      return "The spec has no own category " + typed + (own.size ? "; it has " + [...own].slice(0, 5).join(", ") : "") + ".";
    }
    if (/^n\d+$/.test(id)) {
      if (id.length !== 9) return "An id is the letter n and eight digits.";
      return known.has(+id.slice(1)) ? "" : "WordNet " + data.release + " has no noun " + id + ".";
    }
    return data.ids && /^\p{L}[\p{L}\p{M}\p{N} _'.\/-]*$/u.test(typed) && !/\.n\.(?!\d{1,3}$)/.test(typed)
      ? "" : "This is no id and no noun.";
  };
  const unsure = (typed) => /^(own:|n\d+$)/i.test(typed) || /\.n\.\d{1,3}$/.test(typed) ? ""
    : "A name with one sense is taken, or one like labrador.n.01: mlimg check says whether this one is.";
  const tell = (card) => {
    const typed = text(card).value.trim(), fault = typed ? wrong(typed) : "";
    const told = card.querySelector(".told"), said = typed ? fault || unsure(typed) : "";
    if (told.textContent !== said) told.textContent = said;
    told.classList.toggle("fault", fault !== "");
    text(card).setAttribute("aria-invalid", fault !== "");
  };

  const decision = (card) => {
    const radio = chosen(card);
    if (!radio) return null;
    const other = radio.value === "other";
    const typed = text(card).value.trim();
    if (other && (!typed || wrong(typed))) return null;
    const wnid = !other ? radio.value : /^(n\d|own:)/i.test(typed) ? typed.toLowerCase() : typed;
    const kind = card.querySelector(".kind").checked;
    return { wnid, synset: other ? "" : radio.dataset.synset || "", relation: wnid ? (kind ? "is_a" : "same_as") : "" };
  };

  // what is decided and not saved outlives a reload; a browser may forbid it
  const keep = () => {
    const kept = cards.flatMap((card) => {
      const radio = chosen(card);
      const row = data.rows[+card.dataset.row];
      return radio ? [[row[at.source], row[at.category], radio.value, text(card).value, card.querySelector(".kind").checked]] : [];
    });
    try { localStorage.setItem(stored, JSON.stringify(kept)); } catch { /* it is lost with the page */ }
  };
  const restore = () => {
    let kept = [];
    try { kept = JSON.parse(localStorage.getItem(stored)) || []; } catch { return; }
    const by = new Map(kept.map((one) => [JSON.stringify(one.slice(0, 2)), one]));
    for (const card of cards) {
      const row = data.rows[+card.dataset.row];
      const one = by.get(JSON.stringify([row[at.source], row[at.category]]));
      const radio = one && [...card.querySelectorAll("input[type=radio]")].find((input) => input.value === one[2]);
      if (!radio) continue;
      radio.checked = true;
      text(card).value = one[3];
      card.querySelector(".kind").checked = one[4];
    }
  };

  const count = () => {
    let decided = 0, none = 0;
    for (const card of cards) {
      const made = decision(card);
      tell(card);
      card.classList.toggle("decided", made !== null);
      card.querySelector(".clear").hidden = !chosen(card);
      decided += made !== null;
      none += made !== null && !made.wnid;
    }
    document.getElementById("decided").textContent = decided;
    document.getElementById("none").textContent = none;
    document.getElementById("progress").value = decided;
  };
  const changed = () => { count(); keep(); };

  const choose = (card, radio) => {
    if (!radio) return;
    radio.checked = true;
    card.querySelector(".kind").checked = radio.dataset.relation === "is_a";
    changed();
  };
  const clear = (card) => {
    for (const radio of card.querySelectorAll("input[type=radio]")) radio.checked = false;
    changed();
  };

  // as mlimg writes cells: quoted where needed, and no text is a formula for a spreadsheet
  const cell = (value) => {
    const bare = value.replace(/^'+/, "");
    const safe = bare.length > 1 && /^[=+\-@\t\r]/.test(bare) ? "'" + value : value;
    return /[",\n\r]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };
  const csv = () => {
    const rows = data.rows.map((row) => [...row]);
    for (const card of cards) {
      const made = decision(card);
      if (!made) continue;
      const row = rows[+card.dataset.row];
      for (const name of ["wnid", "synset", "relation"]) row[at[name]] = made[name];
      const rule = card.dataset.rule, said = row[at.evidence].replace(/^corrected and not signed yet(; |$)/, "");
      if (rule && !row[at.evidence].includes("the rule took ")) row[at.evidence] = [rule, said].filter(Boolean).join("; ");
      [row[at.method], row[at.score]] = ["file", "1.000"];
      row[at.reviewer] = reviewer.value.trim() || "reviewed";
    }
    return [data.columns, ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
  };
  document.getElementById("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv;charset=utf-8" }));
    link.download = data.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  const here = () => {
    const inside = document.activeElement && document.activeElement.closest(".choice");
    return inside ? cards.indexOf(inside) : -1;
  };
  const go = (i) => {
    const card = cards[Math.max(0, Math.min(cards.length - 1, i))];
    if (card) { card.focus({ preventScroll: true }); card.scrollIntoView({ block: "start" }); }
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=text], #reviewer");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const i = here();
    if (event.key === "j") return go(i + 1);
    if (event.key === "k") return go(i < 0 ? 0 : i - 1);
    if (event.key === "d") {
      const next = cards.findIndex((card, n) => n > i && decision(card) === null);
      return go(next < 0 ? cards.findIndex((card) => decision(card) === null) : next);
    }
    const card = cards[i];
    if (!card) return;
    const radios = [...card.querySelectorAll("input[type=radio]")];
    if (event.key === "u") return clear(card);
    if (event.key === "n") return choose(card, radios.at(-2));
    if (/^[1-9]$/.test(event.key)) choose(card, radios.slice(0, -2)[+event.key - 1]);
  });
  for (const card of cards) {
    card.addEventListener("change", (event) => {
      if (event.target.matches("input[type=radio]")) choose(card, event.target);
      else changed();
    });
    text(card).addEventListener("input", () => {
      const typed = text(card).value.trim() !== "";
      if (typed) card.querySelector("input[value=other]").checked = true;
      changed();
    });
    card.querySelector(".clear").addEventListener("click", () => clear(card));
  }
  restore();
  count();
})();
