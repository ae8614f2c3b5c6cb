// What the fragments of code on these pages take for granted. `npm run check:docs` compiles them with this in scope.
import type * as Common from '@nestjs/common';
import type * as Config from '@nestjs/config';
import type * as Core from '@nestjs/core';
import type * as NestTypeOrm from '@nestjs/typeorm';
import type * as Jobs from 'nestjs-jobs';
import type * as Client from 'nestjs-jobs/client';
import type * as Testing from 'nestjs-jobs/testing';
import type * as Rxjs from 'rxjs';
import type * as TypeOrm from 'typeorm';
import type * as OrderStage from './order.entity.js';
import type * as SearchStage from './search.service.js';

declare global {
  const NestFactory: typeof Core.NestFactory;
  const ConfigModule: typeof Config.ConfigModule;
  const ConfigService: typeof Config.ConfigService;
  type ConfigService = Config.ConfigService;

  const TypeOrmModule: typeof NestTypeOrm.TypeOrmModule;
  const DataSource: typeof TypeOrm.DataSource;
  type DataSource = TypeOrm.DataSource;
  const filter: typeof Rxjs.filter;

  const JobsModule: typeof Jobs.JobsModule;
  const defineJob: typeof Jobs.defineJob;
  const JobsClient: typeof Client.JobsClient;
  const JobFailedError: typeof Jobs.JobFailedError;
  const WaitTimeoutError: typeof Jobs.WaitTimeoutError;

  /** What an application has in hand. */
  const app: Common.INestApplication;
  const testing: Testing.JobsTesting;
  const jobs: Jobs.JobsService;
  const dataSource: TypeOrm.DataSource;
  const manager: TypeOrm.EntityManager;
  const id: string;
  const token: string;

  /** What an application has of its own. */
  const WorkerModule: Common.Type;
  const Order: typeof OrderStage.Order;
  type Order = OrderStage.Order;
  type Doc = SearchStage.Doc;
  const search: SearchStage.Search;
}
