// What a page must have for everybody to use it: names for all that can be used, order, and contrast (WCAG 2.2, 1.4.3).
() => {
  const flaws = [];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest("[aria-hidden=true], dialog:not([open])");
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const what = (element) => `${element.outerHTML.slice(0, 120).replace(/\s+/g, " ")}`;
  const name = (element) => (element.getAttribute("aria-label") || document.getElementById(element.getAttribute("aria-labelledby"))?.textContent || element.textContent || element.title || "").trim();

  if (!document.documentElement.lang) flaws.push("no language");
  if (!document.title.trim()) flaws.push("no title");
  if (document.querySelectorAll("h1").length !== 1) flaws.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) flaws.push("not one main");
  let level = 0;
  for (const each of all("h1, h2, h3, h4")) {
    const now = Number(each.tagName[1]);
    if (now > level + 1) flaws.push(`a heading is left out before ${what(each)}`);
    level = now;
  }
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) flaws.push(`id ${id} twice`);
  for (const each of all("a[href], button, summary")) if (!name(each)) flaws.push(`no name: ${what(each)}`);
  for (const each of all("input:not([type=hidden]), select, textarea")) {
    if (!each.labels?.length && !each.getAttribute("aria-label")) flaws.push(`no label: ${what(each)}`);
  }
  for (const each of all("[role=img], [role=region], [role=log], nav")) if (!each.getAttribute("aria-label") && !each.getAttribute("aria-labelledby")) flaws.push(`no label: ${what(each)}`);
  for (const each of all("table")) {
    if (!each.caption) flaws.push(`no caption: ${what(each)}`);
    for (const head of each.querySelectorAll("th")) if (!head.scope) flaws.push(`no scope: ${what(head)}`);
  }
  for (const each of document.querySelectorAll("[tabindex]")) if (each.tabIndex > 0) flaws.push(`tabindex: ${what(each)}`);
  for (const each of all("*")) {
    const style = getComputedStyle(each);
    if (/(auto|scroll)/.test(style.overflowX + style.overflowY) && (each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1) && each !== document.scrollingElement && each.tabIndex < 0 && !each.querySelector("a, button, summary")) flaws.push(`scrolls, and not by keyboard: ${what(each)}`);
  }
  for (const each of document.querySelectorAll("[style]")) flaws.push(`a style within: ${what(each)}`);

  const number = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = number(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !seen(element) || element.closest("svg, .unseen, option, :disabled")) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const colour = number(style.color);
    if (style.color.startsWith("color(")) colour.forEach((c, i) => { colour[i] = c * 255; });
    const [a, b] = [light(colour), light(ground(element))].sort((x, y) => y - x);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if ((a + 0.05) / (b + 0.05) < least) flaws.push(`contrast ${((a + 0.05) / (b + 0.05)).toFixed(2)}: ${what(element)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) flaws.push(`wider than the window by ${document.documentElement.scrollWidth - innerWidth}`);
  return flaws;
}
