import { Body, Controller, Param, ParseIntPipe, Put } from '@nestjs/common';
import { ServiceUnavailableException, UnprocessableEntityException } from '@nestjs/common';

export interface Shipment {
  trackingNumber: string;
}

/** In cents. */
const INSURED_MAX = 100_000;

/** Simulates a remote service that sometimes fails: it refuses the first request for each order. */
@Controller('carrier')
export class CarrierController {
  private readonly asked = new Set<number>();

  /** Returns the same number for the same order, because a job can run more than once. */
  @Put('shipments/:orderId')
  ship(@Param('orderId', ParseIntPipe) orderId: number, @Body() { value }: { value: number }): Shipment {
    if (!this.asked.has(orderId)) {
      this.asked.add(orderId);
      throw new ServiceUnavailableException('busy, try again');
    }
    if (value > INSURED_MAX) {
      throw new UnprocessableEntityException(`parcels are insured up to ${INSURED_MAX / 100}`);
    }
    return { trackingNumber: `SHIP-${String(orderId).padStart(6, '0')}` };
  }
}
