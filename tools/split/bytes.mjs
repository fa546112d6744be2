// Reading and writing of WebAssembly's bytes: LEB128 numbers, names, vectors.

/** Reads one value after another from `bytes`, from `at` up to `end`. */
export class Reader {
  constructor(bytes, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get done() {
    return this.at >= this.end;
  }

  byte() {
    if (this.at >= this.end) throw new Error(`the bytes end at ${this.end}, within a value`);
    return this.bytes[this.at++];
  }

  /** An unsigned LEB128 number of at most 32 bits. */
  u32() {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return result;
    }
    throw new Error(`a number of more than 32 bits at ${this.at}`);
  }

  /** A signed LEB128 number of at most 33 bits. */
  s33() {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return byte & 0x40 ? result - 2 ** (shift + 7) : result;
    }
    throw new Error(`a number of more than 33 bits at ${this.at}`);
  }

  /** Passes over a LEB128 number of any size. */
  skipLeb() {
    while (this.byte() >= 0x80);
  }

  take(length) {
    if (this.at + length > this.end) throw new Error(`${length} bytes are wanted at ${this.at}, the end is ${this.end}`);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  name() {
    return new TextDecoder().decode(this.take(this.u32()));
  }

  /** As many values as the number that comes first says. */
  vector(read) {
    return Array.from({ length: this.u32() }, () => read(this));
  }
}

/** An unsigned number as LEB128, as an array of bytes. */
export function u32(value) {
  const out = [];
  do {
    const byte = value % 128;
    value = Math.floor(value / 128);
    out.push(value > 0 ? byte | 0x80 : byte);
  } while (value > 0);
  return out;
}

/** A signed number of at most 32 bits as LEB128. */
export function s32(value) {
  const out = [];
  for (;;) {
    const byte = value & 0x7f;
    value >>= 7;
    if ((value === 0 && !(byte & 0x40)) || (value === -1 && byte & 0x40)) return [...out, byte];
    out.push(byte | 0x80);
  }
}

export function name(text) {
  const bytes = new TextEncoder().encode(text);
  return [...u32(bytes.length), ...bytes];
}

/** Parts (arrays of bytes) as one. */
export function join(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A vector: the number of items, then each. */
export const vector = (items) => join([u32(items.length), ...items]);

/** A section: its id, its size, its content. */
export const section = (id, content) => join([[id], u32(content.length), content]);
