import { Injectable } from '@nestjs/common';

@Injectable()
export class Invoices {
  async send(invoiceId: number, signal: AbortSignal): Promise<void> {
    await fetch(`https://invoices.example.org/send/${invoiceId}`, { method: 'POST', signal });
  }
}
