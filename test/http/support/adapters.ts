import type { AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';

/** An HTTP adapter of Nest. */
export interface AdapterKind {
  readonly adapter: 'Express' | 'Fastify';
  create(): AbstractHttpAdapter;
}

export const express: AdapterKind = { adapter: 'Express', create: () => new ExpressAdapter() };
export const fastify: AdapterKind = { adapter: 'Fastify', create: () => new FastifyAdapter() };

export const everyAdapter: readonly AdapterKind[] = [express, fastify];
