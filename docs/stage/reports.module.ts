export class ReportsModule {}

export class ReportJobs {
  declare render: (job: unknown) => Promise<void>;
}
