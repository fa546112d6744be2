// The manifest editor: CodeMirror 6 with YAML behind a few functions.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const highlight = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--read)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--status)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.keyword], color: "var(--write)" },
  { tag: tags.comment, color: "var(--text-3)" },
  { tag: [tags.meta, tags.separator, tags.punctuation], color: "var(--text-2)" },
  { tag: [tags.labelName, tags.typeName], color: "var(--watch)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "transparent", fontSize: "12.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--brand)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--brand)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selection)" },
  // Long lines are scrolled behind the numbers.
  ".cm-gutters": { backgroundColor: "var(--bg-raised)", color: "var(--text-3)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-tooltip, .cm-panels": { backgroundColor: "var(--surface-2)", color: "var(--text)", border: "1px solid var(--line-strong)", borderRadius: "8px" },
  ".cm-panels button, .cm-panels input": { font: "inherit", color: "inherit", background: "var(--surface)", border: "1px solid var(--line-strong)", borderRadius: "6px" },
  ".cm-diagnostic": { padding: "6px 10px", maxWidth: "60ch", whiteSpace: "pre-wrap" },
  ".cm-foldPlaceholder": { background: "var(--surface-2)", border: "none", color: "var(--text-2)" },
});

/**
 * Opens an editor in `element` with `text`. `onChange(text)` after a pause in typing is not enough for Apply, so the
 * page asks for `text()` when it needs it; `onSubmit()` is Ctrl/Cmd+Enter.
 */
export function open(element, text, label, onChange, onSubmit) {
  const view = new EditorView({
    parent: element,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        foldGutter(),
        highlightSpecialChars(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches(),
        search({ top: true }),
        lintGutter(),
        indentUnit.of("  "),
        EditorState.tabSize.of(2),
        yaml(),
        syntaxHighlighting(highlight),
        look,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off" }),
        keymap.of([
          { key: "Mod-Enter", run: () => (onSubmit(), true) },
          ...defaultKeymap,
          ...historyKeymap,
          ...searchKeymap,
          ...foldKeymap,
          indentWithTab,
        ]),
        EditorView.updateListener.of((update) => update.docChanged && onChange()),
      ],
    }),
  });
  // The first measurement may fall into the moment before the pane has its size.
  setTimeout(() => view.requestMeasure(), 50);
  setTimeout(() => view.requestMeasure(), 500);
  const position = (line, column) => {
    const at = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)));
    return { at, from: column > 0 ? Math.min(at.from + column - 1, at.to) : at.from + (at.text.length - at.text.trimStart().length) };
  };
  return {
    text: () => view.state.doc.toString(),
    setText: (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    /** marks: [[line, column, "error" | "warning", message]]; lines and columns from 1, column 0 is the whole line. */
    mark: (marks) => {
      const diagnostics = marks.map(([line, column, severity, message]) => {
        const { at, from } = position(line, column);
        return { from, to: Math.max(from, column > 0 ? Math.min(from + 1, at.to) : at.to), severity, message };
      });
      diagnostics.sort((a, b) => a.from - b.from);
      view.dispatch(setDiagnostics(view.state, diagnostics));
      if (diagnostics.length) view.dispatch({ effects: EditorView.scrollIntoView(diagnostics[0].from, { y: "center" }) });
    },
    focus: () => view.focus(),
    close: () => view.destroy(),
  };
}
