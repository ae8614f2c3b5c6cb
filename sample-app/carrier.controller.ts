import { Controller, Param, ParseIntPipe, Put, ServiceUnavailableException } from '@nestjs/common';

export interface Shipment {
  trackingNumber: string;
}

/** Stands for a service on the network that fails at times: here, at every other request. */
@Controller('carrier')
export class CarrierController {
  private requests = 0;

  /** Asked twice for one order, it answers the same: a job may run more than once. */
  @Put('shipments/:orderId')
  ship(@Param('orderId', ParseIntPipe) orderId: number): Shipment {
    this.requests += 1;
    if (this.requests % 2 === 1) {
      throw new ServiceUnavailableException();
    }
    return { trackingNumber: `SHIP-${String(orderId).padStart(6, '0')}` };
  }
}
