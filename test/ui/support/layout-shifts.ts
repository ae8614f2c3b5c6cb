import type { UiPage } from './ui-page.js';

/** Resolves when the frame with the current document is drawn. */
const WAIT_FOR_FRAME = 'new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 50)))';

/**
 * Records `layout-shift` entries without recent input. It starts after the current document is drawn: content that a
 * test has waited for may be in the document but not yet on the screen.
 */
export const WATCH_SHIFTS = `${WAIT_FOR_FRAME}.then(() => {
  window.shifts = [];
  const toText = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(' ');
  new PerformanceObserver((list) => {
    for (const { hadRecentInput, sources } of list.getEntries()) {
      if (hadRecentInput) continue;
      for (const { node, previousRect, currentRect } of sources) {
        const name = node?.outerHTML ?? node?.textContent ?? 'removed node';
        window.shifts.push(name.slice(0, 80) + ': ' + toText(previousRect) + ' → ' + toText(currentRect));
      }
    }
  }).observe({ type: 'layout-shift', buffered: false });
})`;

/** Returns the shifts so far, including the frame that is being drawn. */
export function readShifts(ui: UiPage): Promise<string[]> {
  return ui.page.evaluate(`${WAIT_FOR_FRAME}.then(() => window.shifts)`);
}
