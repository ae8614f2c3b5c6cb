import { DataSource } from 'typeorm';

export const appDataSource = await new DataSource({ type: 'better-sqlite3', database: 'app.sqlite' }).initialize();
