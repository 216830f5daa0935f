// Half-precision floats, decoded through a table of all 65536 of them.

export const HALF = new Float32Array(65536);

for (let bits = 0; bits < 65536; bits++) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) HALF[bits] = sign * fraction * 2 ** -24;
  else if (exponent === 31) HALF[bits] = fraction ? NaN : sign * Infinity;
  else HALF[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
