// Three courtesies that HTML and CSS alone cannot do. The book reads the same without them.

// A region that scrolls is reachable by keyboard, and only while it scrolls.
const markScrollingRegions = () => {
  const regions = ".pst-scrollable-table-container, .numbers-scroll, .formula, .bd-article pre, .cell_output > .output";
  for (const region of document.querySelectorAll(regions)) {
    const scrolls = region.scrollWidth > region.clientWidth || region.scrollHeight > region.clientHeight;
    if (scrolls) region.tabIndex = 0;
    else region.removeAttribute("tabindex");
  }
};

// The contents at the side show which section is being read.
const followReader = () => {
  const links = [...document.querySelectorAll("nav.page-toc a.nav-link")];
  const sections = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
  const mark = () => {
    const read = sections.findLastIndex((section) => section && section.getBoundingClientRect().top < 120);
    links.forEach((link, i) => {
      const active = i === read;
      link.classList.toggle("active", active);
      if (active) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  document.addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
  mark();
};

// Paper is light, whatever the screen is, and nobody can unfold what is folded on it.
const preparePrint = () => {
  const page = document.documentElement.dataset;
  let theme = page.theme;
  let folded = [];
  window.addEventListener("beforeprint", () => {
    theme = page.theme;
    page.theme = "light";
    folded = [...document.querySelectorAll(".bd-article details:not([open], .figure-data, .explorer details)")];
    for (const details of folded) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    page.theme = theme;
    for (const details of folded) details.open = false;
  });
};

document.addEventListener("DOMContentLoaded", () => {
  markScrollingRegions();
  new ResizeObserver(markScrollingRegions).observe(document.body);
  document.addEventListener("toggle", markScrollingRegions, true);
  if (document.querySelector("nav.page-toc")) followReader();
  preparePrint();
});
