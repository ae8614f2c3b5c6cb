import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { createTransport } from 'nodemailer';
import { DATA_FOLDER } from './settings.js';

export interface Mail {
  /** Name of the file. A mail that is sent twice replaces itself. */
  readonly name: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** Writes mails to a folder instead of sending them. Any mail program opens them. */
@Injectable()
export class Outbox {
  private readonly folder = join(DATA_FOLDER, 'outbox');
  private readonly transport = createTransport({ streamTransport: true, buffer: true });

  /** Writes the mail and returns its path. */
  async put({ name, ...mail }: Mail): Promise<string> {
    const { message } = await this.transport.sendMail({ from: 'Sample Shop <shop@example.org>', ...mail });
    const path = join(this.folder, `${name}.eml`);
    await mkdir(this.folder, { recursive: true });
    await writeFile(path, message as Buffer);
    return path;
  }
}
