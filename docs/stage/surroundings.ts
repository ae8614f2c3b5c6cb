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
import type * as MailStage from './mail.jobs.js';
import type * as OrderStage from './order.entity.js';

declare global {
  const Injectable: typeof Common.Injectable;
  const Inject: typeof Common.Inject;
  const Module: typeof Common.Module;
  const Scope: typeof Common.Scope;
  const UseGuards: typeof Common.UseGuards;
  const UsePipes: typeof Common.UsePipes;
  const UseInterceptors: typeof Common.UseInterceptors;
  const UseFilters: typeof Common.UseFilters;
  const Catch: typeof Common.Catch;
  const createParamDecorator: typeof Common.createParamDecorator;
  const ServiceUnavailableException: typeof Common.ServiceUnavailableException;
  const ParseArrayPipe: typeof Common.ParseArrayPipe;
  const ParseIntPipe: typeof Common.ParseIntPipe;
  const ValidationPipe: typeof Common.ValidationPipe;
  type ArgumentsHost = Common.ArgumentsHost;
  type CallHandler = Common.CallHandler;
  type CanActivate = Common.CanActivate;
  type ExceptionFilter = Common.ExceptionFilter;
  type ExecutionContext = Common.ExecutionContext;
  type NestInterceptor = Common.NestInterceptor;
  type OnApplicationBootstrap = Common.OnApplicationBootstrap;

  const NestFactory: typeof Core.NestFactory;
  const LazyModuleLoader: typeof Core.LazyModuleLoader;
  type LazyModuleLoader = Core.LazyModuleLoader;
  const ContextIdFactory: typeof Core.ContextIdFactory;
  type ContextIdStrategy<T> = Core.ContextIdStrategy<T>;
  type ContextId = Core.ContextId;
  type HostComponentInfo = Core.HostComponentInfo;
  const REQUEST: typeof Core.REQUEST;

  const ConfigModule: typeof Config.ConfigModule;
  const ConfigService: typeof Config.ConfigService;
  type ConfigService = Config.ConfigService;

  const TypeOrmModule: typeof NestTypeOrm.TypeOrmModule;
  const InjectRepository: typeof NestTypeOrm.InjectRepository;
  const InjectDataSource: typeof NestTypeOrm.InjectDataSource;
  const DataSource: typeof TypeOrm.DataSource;
  type DataSource = TypeOrm.DataSource;
  type EntityManager = TypeOrm.EntityManager;
  const Repository: typeof TypeOrm.Repository;
  type Repository<T extends TypeOrm.ObjectLiteral> = TypeOrm.Repository<T>;

  const filter: typeof Rxjs.filter;
  const finalize: typeof Rxjs.finalize;
  const firstValueFrom: typeof Rxjs.firstValueFrom;
  type Observable<T> = Rxjs.Observable<T>;

  const JobsModule: typeof Jobs.JobsModule;
  const JobsService: typeof Jobs.JobsService;
  type JobsService = Jobs.JobsService;
  const JobHandler: typeof Jobs.JobHandler;
  const JobSchedule: typeof Jobs.JobSchedule;
  const Payload: typeof Jobs.Payload;
  const CurrentJob: typeof Jobs.CurrentJob;
  const defineJob: typeof Jobs.defineJob;
  const isJobContext: typeof Jobs.isJobContext;
  type JobContext<T = unknown> = Jobs.JobContext<T>;
  type JobBatch<T = unknown> = Jobs.JobBatch<T>;
  const Job: typeof Jobs.Job;
  type Job<T = unknown> = Jobs.Job<T>;
  const JobsClient: typeof Client.JobsClient;
  const UnrecoverableError: typeof Jobs.UnrecoverableError;
  const SnoozeError: typeof Jobs.SnoozeError;
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
  const AppModule: Common.Type;
  const WorkerModule: Common.Type;
  const Order: typeof OrderStage.Order;
  type Order = OrderStage.Order;
  const Invoice: typeof OrderStage.Invoice;
  const MailJobs: typeof MailStage.MailJobs;
  type WelcomeMail = MailStage.WelcomeMail;
  class Doc {
    readonly id: string;
    readonly text: string;
  }
  class Page {
    id: number;
    views: number;
  }
  interface Push {
    readonly device: string;
    readonly text: string;
  }
  const search: Search;
  function countByPage(batch: JobBatch<{ pageId: number }>): Map<number, number>;
  class RateLimitError extends Error {
    readonly retryAfterMs: number;
  }
  function deliver(to: string, options?: { signal: AbortSignal }): Promise<void>;
  function sendInvoice(invoiceId: number, options: { signal: AbortSignal }): Promise<void>;

  /** What the class of a method has beside it. */
  interface Surroundings {
    readonly jobs: Jobs.JobsService;
    readonly dataSource: TypeOrm.DataSource;
    readonly carrier: { ship(orderId: number, signal: AbortSignal): Promise<{ tracking: string }> };
    readonly search: Search;
    readonly push: { send(messages: readonly Push[]): Promise<readonly { status: string; receipt: string }[]> };
    readonly files: { find(path: string): Promise<ImportedFile | null> };
  }

  interface Search {
    /** Returns the documents that it rejects. */
    add(docs: readonly Doc[]): Promise<readonly { index: number; reason: string }[]>;
  }

  interface ImportedFile {
    readonly isLocked: boolean;
    readonly parts: readonly { load(): Promise<void> }[];
  }
}
