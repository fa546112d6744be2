/** A constant of a type that is never looked at. */
const ZEROS = { 0x7f: [0x41, 0], 0x7e: [0x42, 0], 0x7d: [0x43, 0, 0, 0, 0], 0x7c: [0x44, 0, 0, 0, 0, 0, 0, 0, 0] };
export const zero = (type) => ZEROS[type] ?? [0xd0, type];
