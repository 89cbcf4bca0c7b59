// Light or dark before anything is painted: the system's choice, or the one made here before. Not a module, those run later.
(() => {
  const KEY = "listening-theme";
  const root = document.documentElement;
  const remembered = () => {
    try { return localStorage.getItem(KEY) || "system"; } catch { return "system"; }
  };
  const apply = (theme) => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
  };
  apply(remembered());

  const NEXT = { system: "dark", dark: "light", light: "system" };
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = (theme) => { button.textContent = `Theme: ${theme}`; };
    say(remembered());
    button.addEventListener("click", () => {
      const theme = NEXT[root.dataset.theme || "system"];
      apply(theme);
      say(theme);
      try { localStorage.setItem(KEY, theme); } catch { /* it lasts as long as the page, then */ }
      dispatchEvent(new Event("themechange"));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
  });
})();
