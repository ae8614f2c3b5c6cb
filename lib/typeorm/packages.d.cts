/** Returns `typeorm`. */
export function loadTypeOrm(): typeof import('typeorm', { with: { 'resolution-mode': 'require' } });
/** Returns `@nestjs/typeorm`, or `undefined` if it or TypeORM is not installed. */
export function loadNestTypeOrm():
  { getDataSourceToken(name?: string): unknown; getRepositoryToken(entity: object): unknown } | undefined;
