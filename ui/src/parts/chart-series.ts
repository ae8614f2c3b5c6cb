/** One line, or one kind of columns, of a chart. */
export interface Series {
  readonly label: string;
  /** The name of a colour in tokens.css. */
  readonly color: string;
  readonly kind: 'line' | 'columns';
  /** `null` where there is nothing to be told. */
  readonly values: readonly (number | null)[];
}
