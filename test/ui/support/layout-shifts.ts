import type { UiPage } from './ui-page.js';

/** When the frame is drawn that shows what the document holds now. */
const DRAWN = 'new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 50)))';

/**
 * Notes what moves by itself: `layout-shift` without a hand at the page. It begins once what the document holds now is
 * drawn: what a test has waited for may be in the document, and not yet in its place on the screen.
 */
export const WATCH_SHIFTS = `${DRAWN}.then(() => {
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
})`;

/** What has moved until now, the frame that is being drawn included. */
export function shiftsOn(ui: UiPage): Promise<string[]> {
  return ui.page.evaluate(`${DRAWN}.then(() => window.shifts)`);
}
