// One terminal tab: xterm.js behind four functions. Knows nothing of clusters; bytes in, bytes out.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import styles from "@xterm/xterm/css/xterm.css";

let styled = false;
function addStyles() {
  if (styled) return;
  styled = true;
  const style = document.createElement("style");
  style.textContent = styles;
  document.head.append(style);
}

/** Reads the page's own colours, so that the terminal follows the theme. */
function theme() {
  const css = getComputedStyle(document.documentElement);
  const token = (name) => css.getPropertyValue(name).trim();
  return {
    background: token("--bg-raised"),
    foreground: token("--text"),
    cursor: token("--brand"),
    cursorAccent: token("--bg-raised"),
    selectionBackground: token("--selection"),
    black: token("--term-black"),
    red: token("--bad"),
    green: token("--ok"),
    yellow: token("--wait"),
    blue: token("--read"),
    magenta: token("--packet"),
    cyan: token("--status"),
    white: token("--text-2"),
    brightBlack: token("--text-3"),
    brightRed: token("--bad"),
    brightGreen: token("--ok"),
    brightYellow: token("--write"),
    brightBlue: token("--brand"),
    brightMagenta: token("--watch"),
    brightCyan: token("--status"),
    brightWhite: token("--text"),
  };
}

/**
 * Opens a terminal in `element`.
 * `onData(Uint8Array)` gets what the user types or pastes, `onSize(cols, rows)` the size, also once at the start.
 */
export function open(element, onData, onSize) {
  addStyles();
  const css = getComputedStyle(document.documentElement);
  const terminal = new Terminal({
    allowProposedApi: false,
    convertEol: false,
    cursorBlink: false,
    fontFamily: css.getPropertyValue("--mono"),
    fontSize: 12.5,
    lineHeight: 1.3,
    minimumContrastRatio: 4.5,
    scrollback: 5000,
    screenReaderMode: false,
    theme: theme(),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(element);
  const encoder = new TextEncoder();
  terminal.onData((text) => onData(encoder.encode(text)));
  terminal.onBinary((text) => onData(Uint8Array.from(text, (c) => c.charCodeAt(0) & 255)));
  terminal.onResize(({ cols, rows }) => onSize(cols, rows));
  // Leave the page's own shortcuts to the page, and Tab-trap freedom to keyboard users (Ctrl+Shift+F6 style: Escape twice is a shell key).
  terminal.attachCustomKeyEventHandler((event) => {
    const command = event.metaKey || event.ctrlKey;
    if (command && event.key.toLowerCase() === "k" && !event.shiftKey && event.metaKey) return false;
    if (command && event.shiftKey && event.key.toLowerCase() === "c" && terminal.hasSelection()) {
      navigator.clipboard?.writeText(terminal.getSelection());
      return false;
    }
    return event.key !== "F6";
  });
  const refit = () => {
    if (element.offsetWidth > 40 && element.offsetHeight > 20) fit.fit();
  };
  const observer = new ResizeObserver(refit);
  observer.observe(element);
  refit();
  onSize(terminal.cols, terminal.rows);
  return {
    write: (bytes) => terminal.write(bytes),
    focus: () => terminal.focus(),
    retheme: () => {
      terminal.options.theme = theme();
    },
    close: () => {
      observer.disconnect();
      terminal.dispose();
    },
  };
}
