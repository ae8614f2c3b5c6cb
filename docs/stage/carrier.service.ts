import { Injectable } from '@nestjs/common';

@Injectable()
export class Carrier {
  async ship(orderId: number, signal: AbortSignal): Promise<{ tracking: string }> {
    const response = await fetch(`https://carrier.example.org/ship/${orderId}`, { method: 'POST', signal });
    return (await response.json()) as { tracking: string };
  }
}
