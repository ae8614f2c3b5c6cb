import type { UiPage } from './ui-page.js';

/** Notes from now on what moves by itself: `layout-shift` without a hand at the page. */
export const WATCH_SHIFTS = `
  window.shifts = [];
  const place = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(' ');
  new PerformanceObserver((list) => {
    for (const { hadRecentInput, sources } of list.getEntries()) {
      if (hadRecentInput) continue;
      for (const { node, previousRect, currentRect } of sources) {
        const what = node?.outerHTML ?? node?.textContent ?? 'what is gone';
        window.shifts.push(what.slice(0, 80) + ': ' + place(previousRect) + ' → ' + place(currentRect));
      }
    }
  }).observe({ type: 'layout-shift', buffered: false });
`;

/** What has moved until now, the frame that is being drawn included. */
export function shiftsOn(ui: UiPage): Promise<string[]> {
  return ui.page.evaluate(
    'new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(window.shifts), 50)))',
  );
}
