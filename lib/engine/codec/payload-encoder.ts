/*
 * Codec. In: JSON texts of payloads, on their way to the store. Out: the texts that the codec of the application makes of them.
 * Read this file first, then payload-decoder.ts (stored payload → handler). encrypt-payloads.ts is a codec.
 */
import type { JobsLogger } from '../../core/logger.js';
import { assertPlain, encodePayload, findEncodedMark } from '../../core/payload.js';
import type { InsertedJob, PayloadReplacement } from '../../store/jobs/job-records.js';
import type { UniqueMode } from '../../core/unique-key.js';
import type { PayloadOwner } from '../../core/codec-option.js';
import type { JobsSettings } from '../../core/options.js';

/** A row whose payload is encoded in place. */
interface EncodableRow extends PayloadOwner {
  payload: string;
  readonly uniqueMode: UniqueMode | null;
  replacement?: PayloadReplacement;
}

/** Encodes payloads for the jobs that will hold them. Does nothing without a codec. */
export class PayloadEncoder {
  /** The plain texts of debounced jobs, which may be encoded again for another job. */
  private readonly plainTexts = new WeakMap<EncodableRow, string>();
  private hasWarned = false;

  constructor(
    private readonly parts: Pick<JobsSettings, 'codec' | 'payloadBytesMax'> & { readonly logger: JobsLogger },
  ) {}

  get isActive(): boolean {
    return this.parts.codec !== undefined;
  }

  /** Converts a plain payload to JSON text. With a codec the limit applies to the encoded text. */
  toText(payload: unknown): string {
    const text = encodePayload(payload, this.isActive ? Infinity : this.parts.payloadBytesMax);
    assertPlain(payload, text);
    return text;
  }

  /** Encodes one text. @throws the errors of the codec; PayloadTooLargeError, InvalidPayloadError for the text that it returns. */
  async encode(text: string, { id, topic }: PayloadOwner): Promise<string> {
    const { codec, payloadBytesMax } = this.parts;
    if (!codec) {
      return text;
    }
    const encoded: unknown = await codec.encode(JSON.parse(text), { id, topic });
    const encodedText = encodePayload(encoded, payloadBytesMax, 'payload', 'encoded JSON text');
    if (!this.hasWarned && encodedText !== text && !findEncodedMark(encoded)) {
      this.warnUnmarked();
    }
    return encodedText;
  }

  private warnUnmarked(): void {
    this.hasWarned = true;
    this.parts.logger.warn(
      "codec.encode returned a value without the member '$encoded'. A process without this codec would pass it to its handlers as the " +
        "payload; return an object such as { $encoded: 'br', data } instead",
    );
  }

  /** Encodes the payload of a row for its id. */
  async encodeRow(row: EncodableRow): Promise<void> {
    const plain = row.payload;
    row.payload = await this.encode(plain, row);
    if (row.uniqueMode?.debounce) {
      this.plainTexts.set(row, plain);
      row.replacement = { id: row.id, payload: row.payload };
    }
  }

  /**
   * Inserts a debounced row again when its payload must replace that of another job: only the first insert says which one. The job may
   * start before that, and another one may wait by then.
   */
  async replace<Row extends EncodableRow>(
    row: Row,
    first: InsertedJob,
    insert: (row: Row) => Promise<InsertedJob>,
  ): Promise<InsertedJob> {
    let inserted = first;
    while (isRefused(inserted) && row.replacement && row.replacement.id !== inserted.id) {
      const { id } = inserted;
      row.replacement = { id, payload: await this.encode(this.plainTexts.get(row)!, { id, topic: row.topic }) };
      inserted = await insert(row);
    }
    return inserted;
  }
}

/** Another job waits with the key, and its payload was not replaced. */
function isRefused({ deduplicated, replaced, replayedBodyHash }: InsertedJob): boolean {
  return deduplicated && !replaced && replayedBodyHash === null;
}
