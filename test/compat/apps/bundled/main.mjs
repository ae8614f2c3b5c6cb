import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobsModule, JobsService } from 'nestjs-jobs';

// An application that ends up in one file, with the option `ui` of its first argument. Says what its admin UI answers.

class BundledApp {}
Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'better-sqlite3', database: ':memory:', autoLoadEntities: true }),
    JobsModule.forRoot({ ui: JSON.parse(process.argv[2] ?? '{}') }),
  ],
})(BundledApp);

const app = await NestFactory.create(BundledApp, { logger: ['warn', 'error'] });
await app.listen(0, '127.0.0.1');
const jobs = app.get(JobsService);
jobs.register('work', () => 'done');
const { id } = await jobs.enqueue('work', null);
await jobs.whenIdle();
const ui = await fetch(`${await app.getUrl()}/admin/jobs`);
console.log(JSON.stringify({ job: (await jobs.get(id))?.status, ui: ui.status }));
await app.close();
