/** The attributes of an element that may scroll. */
interface ScrollAreaAttributes {
  readonly tabindex: 0;
  readonly role: 'region';
  readonly 'aria-label': string;
}

/**
 * Lets the Tab key reach an element that may scroll, so that the arrow keys scroll it, and gives it a name. Whether it scrolls depends
 * on the window and on its texts, so each element with `overflow: auto` has these attributes, except those of which all content can
 * have the focus.
 */
export function scrollArea(name: string): ScrollAreaAttributes {
  return { tabindex: 0, role: 'region', 'aria-label': name };
}
