// Open the folded group that holds the target of a link, and everything before printing; name the menu's arrows.
(function () {
  function openTo(hash) {
    const target = hash && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (!target) return;
    for (let node = target.parentElement; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
    if (target.closest("details")) target.scrollIntoView();
  }
  window.addEventListener("hashchange", () => openTo(location.hash));
  document.addEventListener("DOMContentLoaded", () => openTo(location.hash));
  document.addEventListener("DOMContentLoaded", () => {
    for (const arrow of document.querySelectorAll(".bd-sidebar-primary summary:not([aria-label])")) {
      const link = arrow.closest("li")?.querySelector("a");
      arrow.setAttribute("aria-label", `Pages below ${link ? link.textContent.trim() : "this one"}`);
    }
  });
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((node) => (node.open = true));
  });
  window.addEventListener("afterprint", () => closed.forEach((node) => (node.open = false)));
})();

// The ledger's filter: cards that lack what is chosen are hidden, groups that hold a match are opened.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form.rb-filter");
  if (!form) return;
  const cards = [...document.querySelectorAll("article.rb-card[data-words]")];
  const groups = [...document.querySelectorAll("details.rb-group")];
  form.hidden = false;
  function show() {
    const chosen = [...new FormData(form)].filter(([, value]) => value);
    let count = 0;
    for (const card of cards) {
      const fits = chosen.every(([name, value]) => card.dataset[name].split("|").includes(value));
      card.hidden = !fits;
      count += fits;
    }
    for (const group of groups) {
      const some = group.querySelector("article.rb-card:not([hidden])") !== null;
      group.hidden = !some;
      if (chosen.length) group.open = some;
    }
    form.querySelector("output").textContent = chosen.length ? `${count} of ${cards.length} claims` : "";
  }
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    setTimeout(() => {
      groups.forEach((group) => (group.open = false));
      show();
    });
  });
});
