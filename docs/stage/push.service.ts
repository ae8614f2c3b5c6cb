import { Injectable } from '@nestjs/common';

export interface Push {
  readonly device: string;
  readonly text: string;
}

@Injectable()
export class PushService {
  async send(messages: readonly Push[]): Promise<readonly { status: string; receipt: string }[]> {
    const body = JSON.stringify(messages);
    const response = await fetch('https://push.example.org/send', { method: 'POST', body });
    return (await response.json()) as { status: string; receipt: string }[];
  }
}
