import { Get } from '@nestjs/common';
import { AnsweredBy } from './door-mark.js';
import { ADMIN_UI } from './http.tokens.js';

/** Where Nest plans the admin UI; everything below that path goes to its door. */
export class AdminUiController {
  @Get()
  @AnsweredBy(ADMIN_UI)
  page(): void {
    // The door answers.
  }
}
