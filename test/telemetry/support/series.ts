import parsePrometheusTextFormat from 'parse-prometheus-text-format';

/** Parses the text format of Prometheus. The result returns the values of a metric by labels. */
export function readSeries(text: string): (name: string) => Record<string, number> {
  // The parser joins the series of a histogram whatever their labels are. Without the type, `_count` is a metric of its own.
  const metrics = parsePrometheusTextFormat(text.replace(/^# TYPE \S+ histogram$/gm, ''));
  return (name) => {
    const found = metrics.filter((metric) => metric.name === name).flatMap((metric) => metric.metrics);
    return Object.fromEntries(
      found.map(({ labels = {}, value }) => [
        Object.entries(labels)
          .map(([label, of]) => `${label}=${of}`)
          .join(' '),
        Number(value),
      ]),
    );
  };
}
