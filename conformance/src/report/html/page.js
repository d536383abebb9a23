"use strict";
// Shows only the checks that were asked for. Without this script everything is shown.
const form = document.getElementById("filter");
const checks = [...document.querySelectorAll(".check")];
const found = document.getElementById("found");
const apply = () => {
  const wanted = new Set([...form.querySelectorAll("input:checked")].map((box) => box.value));
  const name = document.getElementById("find").value.trim().toLowerCase();
  for (const check of checks) {
    const { verdict, name: own } = check.dataset;
    check.hidden = !wanted.has(verdict) || !own.toLowerCase().includes(name);
  }
  const rows = checks.filter((check) => check.matches("tr"));
  found.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} checks`;
};
form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;
apply();
// Whoever follows a link to something that is folded wants to see it.
const unfold = () => {
  const there = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const inside = there && (there.querySelector(":scope > details") || there.parentElement.querySelector(":scope > details"));
  if (inside) inside.open = true;
};
addEventListener("hashchange", unfold);
unfold();
