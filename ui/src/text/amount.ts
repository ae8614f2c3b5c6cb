const whole = new Intl.NumberFormat('en');
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** `12,340`. */
export function countText(count: number): string {
  return whole.format(count);
}

/** `12,340`, but `1.2M` when there is little room. */
export function shortCount(count: number): string {
  return count < 100_000 ? whole.format(count) : compact.format(count);
}

/** `1 job`, `12 jobs`. */
export function jobsText(count: number): string {
  return `${countText(count)} ${count === 1 ? 'job' : 'jobs'}`;
}

/** `312 failed · 188 will be tried again`. @param most a number that stands for itself and more */
export function errorCounts(failed: number, retrying: number, most = Infinity): string {
  const text = (count: number): string => countText(count) + (count >= most ? '+' : '');
  const parts = [
    ...(failed > 0 || retrying === 0 ? [`${text(failed)} failed`] : []),
    ...(retrying > 0 ? [`${text(retrying)} will be tried again`] : []),
  ];
  return parts.join(' · ');
}

/** `99.3 %`; never rounded up to all, nor down to none. */
export function rateText(rate: number): string {
  const percent = rate * 100;
  if (percent > 99.9 && percent < 100) return '> 99.9 %';
  if (percent > 0 && percent < 0.1) return '< 0.1 %';
  return `${Number(percent.toFixed(1))} %`;
}

/** `12 B`, `3.4 KiB`, `1.2 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const [size, unit] = bytes < 1_048_576 ? [1_024, 'KiB'] : [1_048_576, 'MiB'];
  return `${Number((bytes / size).toFixed(1))} ${unit}`;
}
