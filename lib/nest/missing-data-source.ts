import type { InjectionToken } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import { InvalidOptionsError } from '../core/errors.js';
import { nextTurn } from '../store/real-timers.js';

/**
 * Says why no DataSource was injected. Nest would name the symbols of our providers.
 *
 * @param name that of the DataSource, absent for the default one.
 * @throws InvalidOptionsError always.
 */
export async function refuseNoDataSource(modules: ModulesContainer, name: string | undefined): Promise<never> {
  const token = getDataSourceToken(name) as InjectionToken;
  const provider = [...modules.values()].find(({ providers }) => providers.has(token));
  if (provider) {
    // Nest 11 injects nothing where the DataSource could not connect. That error is on its way, and is the better one.
    await nextTurn();
    throw new InvalidOptionsError(
      'dataSource',
      `expected the one of ${provider.name} to be seen by JobsModule, got nothing: is that module global?`,
    );
  }
  throw new InvalidOptionsError(
    'dataSource',
    name === undefined
      ? 'expected TypeOrmModule.forRoot() beside JobsModule, got no DataSource'
      : `expected a DataSource named '${name}', from TypeOrmModule.forRoot({ name: '${name}' }), got none`,
  );
}
