import type { JobContext } from 'nestjs-jobs';
import { defineJob, JobHandler, JobSchedule, Payload } from 'nestjs-jobs';

// Checked only by the compiler, in `npm run check:types`: an expected error that does not occur is an error.

interface Report {
  day: number;
}

const BuildReport = defineJob<Report>('build_report');

export class Schedules {
  @JobSchedule('0 3 * * *')
  none(): void {}

  @JobSchedule({ every: '10s' }, { payload: { day: 1 } })
  job(job: JobContext<Report>): number {
    return job.payload.day;
  }

  // @ts-expect-error -- a handler takes the job, not its payload
  @JobSchedule('0 3 * * *')
  payload(payload: Report): number {
    return payload.day;
  }

  @JobSchedule('0 3 * * *', { topic: BuildReport, payload: { day: 1 } })
  @JobHandler(BuildReport, { parameters: 'decorated' })
  decorated(@Payload() report: Report): number {
    return report.day;
  }

  // @ts-expect-error -- the payload of the topic has another type
  @JobSchedule('0 3 * * *', { topic: BuildReport, payload: { day: 'monday' } })
  wrongPayload(): void {}
}
