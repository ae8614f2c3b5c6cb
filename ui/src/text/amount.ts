import { messages } from '../messages/messages.js';
import { perLanguage } from '../messages/per-language.js';

const whole = perLanguage((language) => new Intl.NumberFormat(language));
const compact = perLanguage(
  (language) => new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 }),
);
const tenths = perLanguage((language) => new Intl.NumberFormat(language, { maximumFractionDigits: 1 }));
const hundredths = perLanguage((language) => new Intl.NumberFormat(language, { maximumFractionDigits: 2 }));

/** `12,340`. */
export function countText(count: number): string {
  return whole().format(count);
}

/** `12,340`, but `1.2M` when there is little room. */
export function shortCount(count: number): string {
  return count < 100_000 ? whole().format(count) : compact().format(count);
}

/** `1.5`, with at most `digits` digits after the point. */
export function decimalText(number: number, digits: 1 | 2 = 1): string {
  return (digits === 1 ? tenths : hundredths)().format(number);
}

/** `1 job`, `12 jobs`. */
export function jobsText(count: number): string {
  return messages.amounts.jobs(count);
}

/** `312 failed · 188 retrying`. @param most a number that stands for itself and more */
export function errorCounts(failed: number, retrying: number, most = Infinity): string {
  const text = (count: number): string => countText(count) + (count >= most ? '+' : '');
  const parts = [
    ...(failed > 0 || retrying === 0 ? [messages.amounts.failed(text(failed))] : []),
    ...(retrying > 0 ? [messages.amounts.retrying(text(retrying))] : []),
  ];
  return parts.join(' · ');
}

/** `312 failed · 188 will be tried again`: the jobs of one error. */
export function groupCounts({ count, retrying }: { count: number; retrying: number }): string {
  const failed = count > 0 || retrying === 0 ? countText(count) : null;
  return messages.errors.counts(failed, retrying > 0 ? countText(retrying) : null);
}

/** `99.3 %`; never rounded up to all, nor down to none. */
export function rateText(rate: number): string {
  const percent = rate * 100;
  if (percent > 99.9 && percent < 100) return `> ${percentText(99.9)}`;
  if (percent > 0 && percent < 0.1) return `< ${percentText(0.1)}`;
  return percentText(percent);
}

/** `99.3 %`. */
export function percentText(percent: number): string {
  return messages.amounts.percent(decimalText(percent));
}

/** `12 B`, `3.4 KiB`, `1.2 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const [size, unit] = bytes < 1_048_576 ? [1_024, 'KiB'] : [1_048_576, 'MiB'];
  return `${decimalText(bytes / size)} ${unit}`;
}
