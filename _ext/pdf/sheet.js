// A table that is wider than the sheet is set smaller; one that is still too wide may break its words.
for (const table of document.querySelectorAll(".bd-article table")) {
  const room = table.closest(".bd-article, td, li, .admonition")?.clientWidth ?? document.body.clientWidth;
  const full = parseFloat(getComputedStyle(table).fontSize);
  let size = full;
  while (table.scrollWidth > room && size > 0.6 * full) {
    size *= 0.95;
    table.style.fontSize = `${size}px`;
  }
  if (table.scrollWidth > room) table.classList.add("squeezed");
}

// What is short stays on one sheet; what is long may go over to the next, or it would leave half a sheet empty.
const SHORT = document.body.clientWidth * 0.6;
for (const box of document.querySelectorAll("table, .cell_input, pre, .admonition, figure, dd, .citation")) {
  const whole = box.closest(".cell_input") ?? box; // code goes with its frame, or the frame would begin empty
  box.style.breakInside = box.tagName === "FIGURE" || whole.offsetHeight < SHORT ? "avoid" : "auto";
}
