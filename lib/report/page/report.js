"use strict";
// The contents list stands open beside the text on a wide screen and folds away above it on a narrow one.
{
  const list = document.querySelector("#contents > details");
  const wide = matchMedia("(min-width: 70rem)");
  const arrange = () => { list.open = wide.matches; };
  wide.addEventListener("change", arrange);
  arrange();
  list.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) list.open = false;
  });

  // The entry of the section being read: the last heading above the upper third of the window.
  const links = new Map([...list.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const targets = [...links.keys()].map((id) => document.getElementById(id));
  let current = null;
  const mark = () => {
    const limit = innerHeight / 3;
    const above = targets.filter((target) => target.getBoundingClientRect().top < limit).pop();
    if (above === current) return;
    if (current) links.get(current.id).removeAttribute("aria-current");
    if (above) links.get(above.id).setAttribute("aria-current", "true");
    current = above;
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
}

// One button unfolds all code, and folds it again.
{
  const button = document.querySelector("#unfold");
  button.hidden = false;
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(open));
    button.textContent = open ? "Fold all code" : "Show all code";
    for (const fold of document.querySelectorAll("details.code")) fold.open = open;
  });
}
