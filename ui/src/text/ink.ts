/** Returns black or white, whichever has more contrast on a colour: at least 4.5 to 1. @param color `#rrggbb` */
export function inkOn(color: string): '#000000' | '#ffffff' {
  const [red, green, blue] = [1, 3, 5].map((start) => toLight(parseInt(color.slice(start, start + 2), 16) / 255));
  const luminance = 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
  // Where the contrast to black equals that to white: (l + 0.05) / 0.05 = 1.05 / (l + 0.05).
  return luminance > Math.sqrt(0.05 * 1.05) - 0.05 ? '#000000' : '#ffffff';
}

function toLight(part: number): number {
  return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
}
