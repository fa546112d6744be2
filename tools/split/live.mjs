// Which locals hold something that is still wanted: the classical analysis from the end to the beginning, over the tree of a body.

import { OP } from "./body.mjs";

/** A set of locals as bytes, one a local. */
const union = (into, from) => {
  for (let i = 0; i < from.length; i++) into[i] |= from[i];
};

/**
 * Walks a body's tree backwards. Afterwards every sequence has `live` (at its beginning, before its first item) and `wanted` (at
 * its end), and every item in it that something may be moved after has `after`: what is live behind it. `labels` of a sequence:
 * what is live where a branch to its own construct leads.
 */
export function live(body) {
  const nothing = new Uint8Array(body.locals.length);
  backwards(body.whole, nothing, [nothing]);
}

/** What is live before `seq` when `after` is live behind it; `labels` is innermost last. */
function backwards(seq, after, labels) {
  seq.wanted = after;
  seq.label = labels[labels.length - 1];
  let now = after.slice();
  for (let i = seq.items.length - 1; i >= 0; i--) {
    const item = seq.items[i];
    item.after = item.op === OP.brIf || (item.op >= OP.block && item.op <= OP.if) ? now.slice() : null;
    now = before(item, now, labels);
  }
  seq.live = now;
  return now;
}

function before(item, now, labels) {
  const label = (depth) => labels[labels.length - 1 - depth];
  switch (item.op) {
    case OP.localGet:
      now[item.index] = 1;
      return now;
    case OP.localSet:
    case OP.localTee:
      now[item.index] = 0;
      return now;
    case OP.br:
      return label(item.index).slice();
    case OP.brIf:
      union(now, label(item.index));
      return now;
    case OP.brTable: {
      const all = label(item.labels[0]).slice();
      for (const depth of new Set(item.labels)) union(all, label(depth));
      return all;
    }
    case OP.unreachable:
    case OP.return:
    case 0x12:
    case 0x13:
      return new Uint8Array(now.length);
    case OP.block:
      return backwards(item.body, now, [...labels, now]).slice();
    case OP.if: {
      const then = backwards(item.body, now, [...labels, now]).slice();
      union(then, item.other ? backwards(item.other, now, [...labels, now]) : now);
      return then;
    }
    case OP.loop: {
      // What is live at the loop's beginning is live wherever its body goes back to it: as often as that adds something.
      let start = new Uint8Array(now.length);
      for (;;) {
        const next = backwards(item.body, now, [...labels, start]).slice();
        union(next, start);
        if (next.every((is, i) => is === start[i])) return next;
        start = next;
      }
    }
    default:
      return now;
  }
}
