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
