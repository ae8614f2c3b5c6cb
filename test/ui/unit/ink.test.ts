import { inkOn } from '../../../ui/src/text/ink.js';
import { UI_COLORS } from '../../../lib/core/ui-options.js';

/** The contrast of two colours, by WCAG 2.2. */
function contrast(one: string, other: string): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light! + 0.05) / (dark! + 0.05);
}

function luminance(color: string): number {
  const parts = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

describe('the text on a colour of the options', () => {
  it('is white on dark colours and black on light ones', () => {
    expect(['#000000', '#c2185b', UI_COLORS.blue].map(inkOn)).toEqual(['#ffffff', '#ffffff', '#ffffff']);
    expect(['#ffffff', '#ff8800', UI_COLORS.yellow].map(inkOn)).toEqual(['#000000', '#000000', '#000000']);
  });

  it('has a contrast of 4.5 on every colour', () => {
    const parts = ['00', '33', '5c', '77', '80', '99', 'cc', 'ff'];
    const all = parts.flatMap((red) => parts.flatMap((green) => parts.map((blue) => `#${red}${green}${blue}`)));
    expect(all.filter((color) => contrast(color, inkOn(color)) < 4.5)).toEqual([]);
  });
});
