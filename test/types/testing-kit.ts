import { defineJob } from 'nestjs-jobs';
import type { JobsTesting } from 'nestjs-jobs/testing';
import { z } from 'zod';

// Checked only by the compiler, in `npm run check:types`: an expected error that does not occur is an error.

const SendMail = defineJob<{ to: string; order: { id: number; lines: string[] } }, { messageId: string }>('send_mail');
const Checked = defineJob('checked', { schema: z.object({ at: z.iso.date().transform((text) => new Date(text)) }) });

export async function expects(testing: JobsTesting): Promise<void> {
  await testing.expectEnqueued(SendMail, { payload: { order: { id: 1 } } });
  await testing.expectEnqueued(Checked, { payload: { at: '2026-01-31' } });
  await testing.expectEnqueued('plain', { payload: { anything: 1 }, runAt: '5m', count: 2 });
  // @ts-expect-error -- `to` is text
  await testing.expectEnqueued(SendMail, { payload: { to: 1 } });
  // @ts-expect-error -- there is no `from`
  await testing.expectEnqueued(SendMail, { payload: { from: 'b@example.org' } });
  // @ts-expect-error -- the row holds the text, not the Date that the schema makes of it
  await testing.expectNotEnqueued(Checked, { payload: { at: new Date() } });
  // @ts-expect-error -- a unit is missing
  await testing.expectEnqueued(SendMail, { runAt: '5 minutes' });
  const [job] = await testing.expectEnqueued(SendMail);
  const to: string = job!.payload.to;
  const messageId: string | undefined = job!.result?.messageId;
  // @ts-expect-error -- it is text
  const wrong: number = job!.payload.to;
  void [to, messageId, wrong];
}

export async function runs(testing: JobsTesting): Promise<void> {
  const { messageId } = await testing.run(SendMail, { to: 'a@example.org', order: { id: 1, lines: [] } });
  const text: string = messageId;
  // @ts-expect-error -- `order` is missing
  await testing.run(SendMail, { to: 'a@example.org' });
  const unknown: unknown = await testing.run('plain', { anything: 1 });
  await testing.runPending({ topic: SendMail });
  await testing.runPending({
    topic: ['a', SendMail],
    limit: 1,
    scheduled: true,
    recursive: true,
    throwOnFailure: true,
  });
  // @ts-expect-error -- there is no such option
  await testing.runPending({ topics: 'a' });
  // @ts-expect-error -- a unit is missing
  await testing.advance('1 hour');
  void [text, unknown];
}
