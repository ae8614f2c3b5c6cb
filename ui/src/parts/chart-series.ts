/** One line, or one kind of columns, of a chart. */
export interface Series {
  readonly label: string;
  /** The name of a colour in tokens.css. */
  readonly color: string;
  readonly kind: 'line' | 'columns';
  /** `null`: no value at this time. */
  readonly values: readonly (number | null)[];
}
